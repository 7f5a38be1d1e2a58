"""Bridges over trained runs: a second model learns the codes that a first one gives.

    latent   the numbers of an autoencoder's code, at zero mean and unit spread: for latent diffusion
             (Rombach et al. 2022, arXiv:2112.10752)
    vq       the symbols of a vector-quantised autoencoder's code: for VQ-GPT (van den Oord et al. 2017,
             arXiv:1711.00937, section 3.3; Esser et al. 2021, arXiv:2012.09841)

The first run is read once, when the second begins: its weights go into the second run's folder, which needs
the first no more.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from genwright.batch import Batch, by_channel
from genwright.bridges.base import Bridge
from genwright.errors import Incompatible, RecipeError, RunError
from genwright.families.capabilities import Autoencoder
from genwright.model import Model
from genwright.registry import build
from genwright.space import CondSpec, Real, Space
from genwright.storage.run import Run

__all__ = ["VQ", "Latent", "LatentStage"]

CHUNK = 256
"""Examples that go through the first model at once."""
SPREAD = 1e-2
"""Of a channel, at least: one that says nothing is not blown up to unit spread."""


class LatentStage(Bridge):
    """From examples to the codes of a run's model, and back."""

    keeps_likelihood = False
    gives: ClassVar[Literal["real", "symbol"]]
    """What the codes must be."""

    def __init__(self, *, run: str = "") -> None:
        """run: the folder of a trained vae or vqvae."""
        self.run = run
        self._family: Autoencoder | None = None
        self._first: dict[str, Any] = {}
        self._read: dict[str, Any] = {}

    # -- the first model -----------------------------------------------------------------------

    def _open(self) -> Autoencoder:
        """The first run's model. Raises `RunError` or `Incompatible` where it is none to build on."""
        if self._family is not None:
            return self._family
        name = self.name
        if not self.run:
            raise RecipeError(
                f"the bridge {name} needs a trained run: --set bridge.run=runs/NAME", code="no-run-named"
            )
        run = Run.open(self.run)
        if not run.step:
            raise RunError(
                f"{self.run} holds no weights yet: go on with genwright train --resume {self.run}",
                code="no-weights",
            )
        model = Model.load(run, device="cpu")
        recipe, family = model.recipe, model.family
        if recipe.bridge.name != "none":
            raise Incompatible(
                f"the run {self.run} reads its data through the bridge {recipe.bridge.name} itself: name one "
                f"that reads it as it is",
                code="bridge-on-bridge",
            )
        if not isinstance(family, Autoencoder) or family.code is None:
            given = list(model.pipeline.spec.conds)
            told = f", since it was told {', '.join(given)}" if given else ""
            way_out = '--label ""' if given else "--family vae or --family vqvae"
            raise Incompatible(
                f"the run {self.run} of {recipe.family.name} has no codes that an example alone decides"
                f"{told}: train it with {way_out}",
                code="no-latents",
            )
        code = family.code
        if code.kind != self.gives:
            other, wanted = ("vq", "numbers") if self.gives == "real" else ("latent", "symbols")
            raise Incompatible(
                f"the bridge {name} wants codes of {wanted}, and those of {self.run} are {code}: "
                f"take --set bridge.name={other}",
                code="wrong-kind-of-latents",
            )
        self._read = {"path": recipe.data.path, "data": run.codec.get("content"), "space": family.space}
        self._first = {
            "family": [recipe.family.name, recipe.family.options],
            "net": [recipe.net.name, recipe.net.options, recipe.size],
            "cond": {key: spec.state() for key, spec in family.cond.items()},
        }
        return self._keep(family)

    def _keep(self, family: Autoencoder) -> Autoencoder:
        self._family = family.requires_grad_(False).eval()
        return family

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def check(self, path: str, data: str, space: Space) -> None:
        """Raise `Incompatible` unless the first run was trained on the same data, split the same way."""
        self._open()
        if self._read["data"] == data and self._read["space"] == space:
            return
        theirs = self._read["path"]
        differs = "the same" if theirs == path else theirs
        raise Incompatible(
            f"the run {self.run} was trained on other data than {path}: on {differs}"
            f"{' at another time, or split or read in another way' if theirs == path else ''} "
            f"({self._read['space']}, here {space}); train both on the same files with the same options of "
            f"data and codec",
            code="other-data",
        )

    def plan(self, source: Space) -> Space:
        family = self._open()
        if family.space != source:
            raise Incompatible(
                f"the run {self.run} was trained on examples of {family.space}, and this data has {source}: "
                f"name a run that was trained on it",
                code="other-space",
            )
        assert family.code is not None
        return self._target(family.code)

    @abstractmethod
    def _target(self, code: Space) -> Space:
        """The space that the second model sees."""

    # -- there and back ------------------------------------------------------------------------

    def _on(self, device: torch.device) -> Autoencoder:
        family = self._open()
        return family if family.device == device else family.to(device)

    @torch.no_grad()
    def _codes(self, x: Tensor) -> Iterator[Tensor]:
        family = self._on(x.device)
        for part in torch.split(x, CHUNK):
            yield family.to_latent(Batch(part))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(list(self._codes(x)))

    @torch.no_grad()
    def inverse(self, y: Tensor, rng: torch.Generator | None = None) -> Tensor:
        family = self._on(y.device)
        if rng is None:
            rng = torch.Generator(y.device).manual_seed(0)
        return torch.cat([family.from_latent(part, rng) for part in torch.split(y, CHUNK)])

    # -- kept ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return super().state() | {"first": self._first}

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._open().state_dict())

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
        super().restore(state, tensors)
        self._first = first = dict(state["first"])
        net, options, size = first["net"]
        nets = build("nets", net, options, size, where="net")
        cond = {key: CondSpec.restore(value) for key, value in first["cond"].items()}
        name, options = first["family"]
        with torch.random.fork_rng():
            family: Autoencoder = build(
                "families", name, options, self.source, cond, nets, where="family"
            )
        family.load_state_dict(dict(tensors or {}))
        self._keep(family)


class Latent(LatentStage):
    """The numbers of a code, each channel at zero mean and unit spread over the training examples."""

    learns = True
    gives = "real"

    def _target(self, code: Space) -> Space:
        return Space(code.grid, (Real(code.stored),))

    def fit(self, source: Space, x: Tensor) -> None:
        super().fit(source, x)
        codes = torch.cat(list(self._codes(x))).movedim(1, 0).flatten(1).double()  # (C, N)
        self.mean = codes.mean(1).float()
        self.std = codes.std(1, correction=0).clamp_min(SPREAD).float()

    def _scaled(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return by_channel(self.mean.to(like.device), like), by_channel(self.std.to(like.device), like)

    def forward(self, x: Tensor) -> Tensor:
        code = super().forward(x)
        mean, std = self._scaled(code)
        return (code - mean) / std

    def inverse(self, y: Tensor, rng: torch.Generator | None = None) -> Tensor:
        mean, std = self._scaled(y)
        return super().inverse(y * std + mean, rng)

    def state(self) -> dict[str, Any]:
        return super().state() | {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
        super().restore(state, tensors)
        self.mean, self.std = torch.tensor(state["mean"]), torch.tensor(state["std"])


class VQ(LatentStage):
    """The symbols of a code."""

    gives = "symbol"

    def _target(self, code: Space) -> Space:
        return code
