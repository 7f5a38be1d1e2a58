"""Everything between a person's data and a trained family, in one object ready for use.

A model is codec, conditions, bridge, task and family. It is put together the same way before training
and when a run is loaded: from a recipe and what was learnt from the data.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.bridges.base import Bridge
from genwright.data.codec import Array, Codec, Preview
from genwright.data.columns.infer import Column, restore_column
from genwright.data.dataset import make_codec
from genwright.data.sources import Sources
from genwright.errors import RecipeError, Unsupported, memory, suggest
from genwright.families.base import Family
from genwright.families.translator import Translator
from genwright.nets.roles import Nets
from genwright.planning import make_bridge
from genwright.recipe import Recipe
from genwright.registry import build
from genwright.space import Space, Symbol
from genwright.storage.run import Run
from genwright.tasks.base import Task
from genwright.training import distributed

__all__ = ["Model", "Samples"]

TOO_LARGE = (
    "the model itself is too large; choose --size xs, or smaller numbers in --set family.* and net.*"
)


@dataclass
class Samples:
    """Generated examples in their raw form, with the conditions they were made for.

    sources  what they were translated from, in the same order, where they were
    notes    what was left out, and why
    """

    examples: Any
    given: dict[str, list[Any]]
    codec: Codec
    sources: Any = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.given.values()), self.examples))

    def write(self, folder: str | Path) -> list[Path]:
        """Files a person can open; the first shows them all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = self.codec.write(self.examples, self.given, folder)
        if self.sources is not None and (shown := self.preview()).kind == "png":
            files[0].write_bytes(shown.png)
        return files

    def preview(self) -> Preview:
        if self.sources is None:
            return self.codec.preview(self.examples)
        return self.codec.beside(self.sources, self.examples)


class Model:
    """A trained (or still untrained) family with all that surrounds it.

    codec      raw files and tensors
    given      the conditions' own codecs, by name
    frequency  how often each symbol of a condition came in training, by its index
    run        the run folder it belongs to, once there is one
    sources    opens the data, to find examples to translate, where the model translates
    finished   whether its training came to its end
    """

    run: Run
    sources: Callable[[], Sources] | None = None
    finished: bool = True

    def __init__(
        self,
        recipe: Recipe,
        codec: Codec,
        given: Mapping[str, Column],
        frequency: Mapping[str, Mapping[str, int]],
        bridge: Bridge,
    ) -> None:
        self.recipe, self.codec = recipe, codec
        self.given = dict(given)
        self.frequency = {name: dict(counts) for name, counts in frequency.items()}
        self.bridge = bridge
        self.task: Task = build("tasks", recipe.task.name, recipe.task.options, where="task")
        spaces = {name: Space((), column.spans) for name, column in self.given.items()}
        space, cond = self.task.spec(bridge.target, spaces)
        nets: Nets = build("nets", recipe.net.name, recipe.net.options, recipe.size, where="net")
        with torch.random.fork_rng(), memory(TOO_LARGE):
            torch.manual_seed(recipe.seed)
            self.family: Family = build(
                "families", recipe.family.name, recipe.family.options, space, cond, nets, where="family"
            )

    @classmethod
    def load(cls, run: Run, which: str | int | None = None, device: str = "auto") -> Model:
        """From a run: the best weights if a held-out loss chose some, else the last."""
        known = run.codec
        codec = make_codec(known["codec"], known["options"])
        codec.restore(known["state"])
        given = {name: restore_column(state) for name, state in known["given"].items()}
        bridge = make_bridge(known["bridge"]["name"], known["bridge"]["options"])
        bridge.restore(known["bridge"]["state"], run.bridge_tensors)
        model = cls(Recipe.of(run.recipe), codec, given, known["frequency"], bridge)
        chosen: Any = which if which is not None else "best" if run.best else "last"
        model.family.load_state_dict(run.weights(chosen))
        model.family.to(distributed.device(device)).eval()
        model.run = run
        return model

    # -- sampling ------------------------------------------------------------------------------

    def sample(
        self,
        n: int = 16,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        **sampler_options: Any,
    ) -> Samples:
        """`n` new examples. A model that translates brings held-out examples to the domain in `given`.

        given  a value, or `n` values, for some of the conditions; those left out are drawn as often
               as they came in training, or left open where they are not symbols
        knobs  of the family's sampler: temperature, guidance_scale, steps, ...; `prompt` for a text to go on
               from; `infill` for what is known of each example: a text with a `_` for each symbol to be
               made, or some columns of a table by name

        The same seed gives the same bytes on the same machine. Raises `DataError` for an unknown
        value, `RecipeError` for an unknown knob.
        """
        if not self.task.paired:
            return self._translated(n, dict(given or {}), seed, sampler_options)
        values = self._values(n, dict(given or {}), seed)
        cond = {name: self._encode(name, some) for name, some in values.items()}
        if (prompt := sampler_options.pop("prompt", None)) is not None:
            if "prefix" not in self.family.sampler_options():
                raise Unsupported(
                    f"{self.recipe.family.name} cannot go on from a prompt; autoregressive can"
                )
            sampler_options["prefix"] = self.codec.prompt(prompt).tolist()
            if self.bridge.target != self.bridge.source:
                raise Unsupported(
                    f"this model makes what the bridge {self.recipe.bridge.name} leads to, where no prompt "
                    f"goes: train one with --set bridge.name=none"
                )
        if (template := sampler_options.pop("infill", None)) is not None:
            return self._infilled(template, n, values, cond, seed, sampler_options)
        x = self.family.sample(n, cond, seed=seed, **sampler_options)
        return self.decode(x, values, cond, seed)

    def _infilled(
        self,
        template: Any,
        n: int,
        values: dict[str, list[Any]],
        cond: Mapping[str, Tensor],
        seed: int,
        sampler_options: dict[str, Any],
    ) -> Samples:
        """`n` examples that all hold to the template."""
        gaps = self.codec.gaps(template)
        if self.bridge.target.shape != self.bridge.source.shape:
            raise Unsupported(
                f"the bridge {self.recipe.bridge.name!r} changes how many numbers an example has, so that a "
                f"part of one cannot be given: train with --set bridge.name=quantize"
            )
        x, known = (torch.from_numpy(a).repeat(n, *[1] * (a.ndim - 1)) for a in gaps[:2])
        made = self.family.infill(self.bridge.forward(x), known, cond, seed=seed, **sampler_options)
        stored = self.bridge.inverse(made, torch.Generator(made.device).manual_seed(seed)).cpu()
        stored = torch.where(known, x, stored)  # as it was given, not as the bridge has it
        stored = stored[..., : gaps.wanted or stored.shape[-1]]
        examples = self.codec.decode(stored.numpy(), values)
        return Samples(examples, values, self.codec)

    def translate(self, x: Array, to: Any, *, seed: int = 0, **sampler_options: Any) -> Samples:
        """Stored examples `(n, stored, *grid)` brought to a domain, or each to its own of `n`.

        Raises `Unsupported` where the model does not translate, `DataError` for an unknown domain.
        """
        known = self.domains
        (name,) = self.given
        values = self._values(len(x), {name: to}, seed)
        if wrong := set(values[name]) - set(known):
            raise Unsupported(
                f"this model does not translate to {min(map(str, wrong))}, only to "
                f"{', '.join(map(str, known))}"
            )
        domain = self._encode(name, values[name])
        stored = torch.from_numpy(np.ascontiguousarray(x))
        cond = {"source": self.bridge.forward(stored), "domain": domain}
        made = self.decode(
            self.family.sample(len(x), cond, seed=seed, **sampler_options), values, cond, seed
        )
        made.sources = self.codec.decode(np.asarray(x), {})
        return made

    def _translated(
        self, n: int, given: dict[str, Any], seed: int, sampler_options: Mapping[str, Any]
    ) -> Samples:
        """Held-out examples, each brought to another domain."""
        assert isinstance(self.family, Translator)
        assert self.sources is not None, "set by who knows the data"
        (name,) = self.given
        values = self._values(n, given, seed)[name]
        domain = self._encode(name, values).flatten().numpy()
        x = self.sources().draw(domain, self.family.origins, seed)
        return self.translate(x, values, seed=seed, **sampler_options)

    @property
    def domains(self) -> list[Any]:
        """The domains that it translates to, by name. Raises `Unsupported` if it does not translate."""
        if not isinstance(self.family, Translator):
            raise Unsupported(
                f"{self.recipe.family.name} makes new examples and translates none: genwright sample makes "
                f"some; to translate, train --family cyclegan or stargan"
            )
        (column,) = self.given.values()
        stored = np.array(self.family.targets, dtype=np.float32)[:, None]
        return column.decode(stored, np.random.default_rng(0))

    @property
    def kind(self) -> str:
        """The registered name of the codec."""
        return self.recipe.codec.name

    def decode(
        self, x: Tensor, values: dict[str, list[Any]], cond: Mapping[str, Tensor], seed: int
    ) -> Samples:
        """Stored examples of the family's space back to raw ones."""
        rng = torch.Generator(x.device).manual_seed(seed)
        stored = self.bridge.inverse(self.task.finish(x, cond), rng)
        examples = self.codec.decode(stored.cpu().numpy(), values)
        return Samples(examples, values, self.codec)

    def _values(self, n: int, given: dict[str, Any], seed: int) -> dict[str, list[Any]]:
        """`n` raw values for each condition that is given or can be drawn."""
        for name in given:
            if name not in self.given:
                way_out = suggest(name, self.given) if self.given else "train one with --label"
                raise RecipeError(f"this model was trained without the condition {name!r}; {way_out}")
        values: dict[str, list[Any]] = {}
        for i, (name, column) in enumerate(self.given.items()):
            if name in given:
                value = given[name]
                many = isinstance(value, Sequence) and not isinstance(value, str)
                some = list(value) if many else [value] * n
                if len(some) != n:
                    raise RecipeError(f"{n} samples need one value or {n} of {name!r}, got {len(some)}")
                # As the column itself writes the value: "3" for a label typed as 3.
                values[name] = column.decode(column.encode(some), np.random.default_rng(0))
            elif counts := self._asked_for(name):
                indices = _proportional(counts, n, np.random.default_rng([seed, i]))
                values[name] = column.decode(
                    indices[:, None].astype(np.float32), np.random.default_rng(0)
                )
        return values

    def _asked_for(self, name: str) -> Mapping[str, int]:
        """How often each symbol of a condition came, of those that can be asked for."""
        counts = self.frequency.get(name, {})
        if not isinstance(self.family, Translator):
            return counts
        targets = {str(symbol) for symbol in self.family.targets}
        return {symbol: count for symbol, count in counts.items() if symbol in targets}

    def _encode(self, name: str, values: list[Any]) -> Tensor:
        column = self.given[name]
        stored = torch.from_numpy(np.ascontiguousarray(column.encode(values)))
        symbols = all(isinstance(span, Symbol) for span in column.spans)
        return stored.long() if symbols else stored.float()

    def using(self, family: Family) -> Model:
        """The same with other weights: a family that is being trained."""
        other = copy.copy(self)
        other.family = family
        return other

    def __repr__(self) -> str:
        told = ", ".join(self.given) or "nothing"
        return f"Model({self.recipe.family.name} of {self.codec.space}, given {told})"


def _proportional(counts: Mapping[str, int], n: int, rng: np.random.Generator) -> Any:
    """`n` symbol indices in the proportions of `counts`, as evenly as `n` allows, in random order."""
    symbols = np.array([int(symbol) for symbol in counts])
    share = np.array(list(counts.values()), dtype=np.float64)
    share *= n / share.sum()
    whole = np.floor(share).astype(int)
    rest = share - whole
    left = n - whole.sum()
    if left:
        # Systematic sampling of the remainders: each symbol's expected count is exact.
        edges = np.cumsum(rest)
        picks = np.searchsorted(
            edges, (rng.random() + np.arange(left)) * (edges[-1] / left), side="right"
        )
        np.add.at(whole, np.minimum(picks, len(whole) - 1), 1)
    chosen = np.repeat(symbols, whole)
    rng.shuffle(chosen)
    return chosen
