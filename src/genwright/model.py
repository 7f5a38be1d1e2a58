"""Everything between a person's data and a trained family, in one object ready for use.

A model is a pipeline and a family. It is put together the same way before training and when a run is loaded:
from a recipe and what was learnt from the data.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.applying import Application, Left, Maker
from genwright.data.codec import Codec, Preview, Values
from genwright.data.columns.field import ColumnField
from genwright.data.containers import ObjectForm
from genwright.data.dataset import Dataset, make_codec
from genwright.data.field import Field
from genwright.data.labels import files_of
from genwright.data.memory import HandedBack
from genwright.data.provenance import Provenance, mark_files
from genwright.errors import GenwrightError, RecipeError, RunError, Unsupported, memory
from genwright.families.base import Family
from genwright.families.capabilities import Generative, Infilling, chunk_seed, generative
from genwright.families.drafts import Draft
from genwright.families.translator import Translator
from genwright.nets.roles import Nets
from genwright.pipeline import Asked, Pipeline
from genwright.planning import infills, make_bridge
from genwright.recipe import Recipe
from genwright.registry import build, resolve
from genwright.storage.run import Run
from genwright.tasks.base import Given, Task
from genwright.tasks.unpaired import sources_of_others
from genwright.training import distributed
from genwright.training.precision import in_bfloat16

__all__ = ["Model", "Samples", "gathered", "make_task"]

TURNS = 12
"""Times that a gap is asked for, while a model says that what belongs there is missing."""

TOO_LARGE = (
    "the model itself is too large; choose --size xs, or smaller numbers in --set family.* and net.*"
)


@dataclass
class Samples:
    """Generated examples in raw form, with what they were made for.

    values   by field: what was made, and the labels that were given
    make     the field that was made
    sources  what they were made from, in the same order, where that is of the same kind
    names    n names that a person knows their sources by (empty: they have none)
    notes    what was left out and why, and what is odd about what was given
    """

    values: dict[str, Values]
    make: str
    codec: Codec
    fields: Mapping[str, Field]
    sources: Any = None
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    columns: int | None = None
    """Examples in a row of what shows them all, where their order says something."""
    provenance: Provenance | None = None
    """What made them, if that is known."""
    file: Path | None = None
    """Where the rows stand that these are filled ones of."""
    memory: ObjectForm | None = None
    """The form that the data was given in, where it came from memory: examples are handed back in it."""

    @property
    def examples(self) -> Any:
        """What was made, as raw values or in the form that the data was given in."""
        return self._column(self.make)

    @property
    def given(self) -> dict[str, Any]:
        """What was given, by field, likewise."""
        return {name: self._column(name) for name in self.values if name != self.make}

    def data(self) -> Any:
        """All of it together, as the data was given: a frame, a list, a data set; a tuple of that and the labels
        where these were given beside. Of data in files a dict of raw values by field."""
        if self.memory is None:
            return dict(self.values)
        return HandedBack(self.memory, self.codec).all(self.values)

    def _column(self, name: str) -> Any:
        if self.memory is None:
            return self.values[name]
        return HandedBack(self.memory, self.codec).one(name, self.values[name])

    def __len__(self) -> int:
        return len(self.values[self.make])

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """Several of one model behind each other."""
        first = parts[0]
        if len(parts) == 1:
            return first
        values = {
            name: first.fields[name].join([part.values[name] for part in parts]) for name in first.values
        }
        sources = first.sources
        if sources is not None:
            sources = first.fields[first.make].join([part.sources for part in parts])
        names = [name for part in parts for name in part.names]
        notes = list(dict.fromkeys(note for part in parts for note in part.notes))
        return replace(first, values=values, sources=sources, names=names, notes=notes)

    def write(self, folder: str | Path, *, mark: bool = True) -> list[Path]:
        """Files a person can open; the first shows them all.

        mark  say in each, or in a JSON beside them, that it is synthetic, and by which run and seed
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = self.codec.write(self.values, self.fields, folder, columns=self.columns)
        if self.sources is not None and (shown := self.preview()).kind == "png":
            files[0].write_bytes(shown.png)
        if mark and self.provenance is not None:
            real = files_of(files, self.values, self.fields, self.codec.main, self.provenance.real)
            mark_files([file for file in files if file not in real], self.provenance, folder)
        return files

    def save(self, folder: Path, *, mark: bool = True) -> list[Path]:
        """One file for each example, named as the file that it was made from. Nothing is overwritten: raises
        `RunError` for a file that is there.

        mark  as of `write`
        """
        folder = Path(folder)
        if self.file is not None:
            return self._save_again(folder, mark=mark)
        made = self.fields[self.make]
        folder.mkdir(parents=True, exist_ok=True)
        names = _unique(self.names or [f"{i:05d}" for i in range(len(self))])
        files = [folder / f"{name}{made.suffix}" for name in names]
        refuse_existing(files)
        for file, value in zip(files, self.values[self.make], strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            made.save(value, file)
        if mark and self.provenance is not None:
            mark_files(files, self.provenance, folder)
        return files

    def _save_again(self, folder: Path, *, mark: bool) -> list[Path]:
        """The file that the rows are of, filled."""
        if len(set(self.names)) > 1:
            raise Unsupported(
                "these rows are of several files: apply the model to one at a time, or use genwright apply",
                code="no-file",
            )
        assert self.file is not None
        refuse_existing([*folder.glob(f"{self.names[0]}.*")])
        out = self.codec.rewriter(self.file, folder, self.names[0])
        assert out is not None
        files = out.add({self.make: self.values[self.make]})
        out.close()
        if mark and self.provenance is not None:
            mark_files(files, self.provenance, folder)
        return files

    def preview(self) -> Preview:
        if self.sources is None:
            return self.codec.preview(self.values, self.fields, columns=self.columns)
        return self.codec.beside(self.sources, self.values, self.fields)


def make_task(name: str, options: Mapping[str, Any]) -> Task:
    task: Task = build("tasks", name, dict(options), where="task")
    return task


class Model:
    """A trained (or still untrained) family with all that surrounds it.

    run       the run folder it belongs to, once there is one
    step      of the run, whose weights these are
    finished  whether its training came to its end
    """

    run: Run
    step: int = 0
    finished: bool = True

    def __init__(
        self, recipe: Recipe, pipeline: Pipeline, dataset: Callable[[], Dataset] | Dataset | None = None
    ) -> None:
        self.recipe, self.pipeline = recipe, pipeline
        self._dataset = dataset
        if isinstance(dataset, Dataset):
            pipeline.read_from(dataset.fields)
        nets: Nets = build("nets", recipe.net.name, recipe.net.options, recipe.size, where="net")
        space, cond = pipeline.family_spaces()
        with torch.random.fork_rng(), memory(TOO_LARGE):
            torch.manual_seed(recipe.seed)
            self.family: Family = build(
                "families", recipe.family.name, recipe.family.options, space, cond, nets, where="family"
            )

    @classmethod
    def load(
        cls,
        run: Run,
        which: str | int | None = None,
        device: str = "auto",
        dataset: Callable[[Recipe], Dataset] | None = None,
        pipeline: Pipeline | None = None,
    ) -> Model:
        """From a run: the best weights if a held-out loss chose some, else the last.

        dataset   opens the data of a recipe, when it is wanted
        pipeline  of the run, where there is one already (None: from what the run has kept)
        """
        recipe = Recipe.of(run.recipe)
        pipeline = pipeline or pipeline_of(run, recipe)
        model = cls(recipe, pipeline, None if dataset is None else lambda: dataset(recipe))
        chosen: Any = which if which is not None else "best" if run.best else "last"
        model.family.load_state_dict(run.weights(chosen))
        model.family.to(distributed.device(device)).eval()
        model.run = run
        model.step = {"best": run.best or 0, "last": run.step}.get(chosen, chosen)
        learnt = run.calibration
        pipeline.made.recall(learnt["field"] if learnt.get("step") == model.step else {})
        return model

    @property
    def dataset(self) -> Dataset:
        """The data it was trained on, opened once. Raises `RunError` where it has changed since."""
        if callable(self._dataset):
            opened = self._dataset()
            if "run" in vars(self) and opened.key != self.run.codec["data"]:
                raise RunError(
                    f"the data at {self.recipe.data.path} has changed since {self.run.path} was trained: put it "
                    f"back as it was, or name other data",
                    code="data-changed",
                )
            self.pipeline.read_from(opened.fields)
            self._dataset = opened
        if self._dataset is None:
            raise RunError("this model does not know its data: load it from a run", code="no-data")
        return self._dataset

    @property
    def bridge(self) -> Any:
        return self.pipeline.bridge

    @property
    def task(self) -> Task:
        return self.pipeline.task

    # -- sampling ------------------------------------------------------------------------------

    def rehearse(self) -> None:
        """Go the way of samples with training examples in the place of what the family is to make: what a request,
        the way back or the files refuse is then refused before a training and not after it."""
        split, n = self.dataset.splits["train"], 2
        given: Given = self.drawn(n, {}, 0)
        if not self.task.paired:
            given = self._with_sources(n, given, 0)
        asked = self.pipeline.request(n, {}, torch.Generator().manual_seed(0), given)
        generative(self.family).check_given(asked.request.cond)
        made = self.bridge.forward(self.pipeline.stored(split, np.arange(n) % len(split)))
        values = self.pipeline.decoded(
            self.pipeline.finished(made, asked, torch.Generator().manual_seed(0)), asked
        )
        samples = Samples(values, self.pipeline.spec.make, self.pipeline.codec, self.pipeline.fields)
        with TemporaryDirectory() as folder:
            samples.write(folder)

    def sample(
        self,
        n: int = 16,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        **sampler_options: Any,
    ) -> Samples:
        """`n` new examples.

        given            a value, or `n` values, for some of what can be given. Labels that are left out are drawn
                         as often as they came in training, or left open where they are not categories and training
                         left them open too; what else is left out is drawn from held-out examples
        sampler_options  of the family: temperature, guidance_scale, steps, ...; `prompt` for a text to go on
                         from; `infill` for what is known of each example: a text with a `_` for each symbol to
                         be made, or some columns of a table by name

        The same seed gives the same bytes on the same machine. Raises `DataError` for an unknown value,
        `RecipeError` for an unknown option.
        """
        asked = self.asked(n, dict(given or {}), seed, sampler_options)
        return self.make(n, asked, seed, sampler_options)

    def stream(
        self,
        n: int = 16,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        **sampler_options: Any,
    ) -> Generator[Samples, None, None]:
        """The examples of `sample`, some at a time and as they are made: memory does not grow with `n`."""
        asked = self.asked(n, dict(given or {}), seed, sampler_options)
        for behind, values in self.parts(n, asked, seed, sampler_options):
            some = slice(behind, behind + len(values[self.pipeline.spec.make]))
            yield self.answer(values, asked, seed, some)

    def parts(
        self, n: int, asked: Asked, seed: int, sampler_options: dict[str, Any]
    ) -> Iterator[tuple[int, dict[str, Values]]]:
        """Raw values by field of what was asked for, some at a time, with how many come before."""
        for behind, stored in self._stored(n, asked, seed, sampler_options):
            yield behind, self.pipeline.decoded(stored, asked, behind)

    def asked(self, n: int, given: dict[str, Any], seed: int, sampler_options: dict[str, Any]) -> Asked:
        """What is given, and for the rest what is drawn. What is for the model itself leaves the options."""
        for name in ("prompt", "infill"):
            if name in given and name not in self.pipeline.spec.asks:
                _refuse_twice(name, sampler_options)
                sampler_options[name] = given.pop(name)
        notes = list[str]()
        if (prompt := sampler_options.pop("prompt", None)) is not None:
            sampler_options["prefix"] = self._prefix(prompt)
            notes += [f"the prompt {caution}" for caution in self.pipeline.made.cautions([prompt])]
        if (template := sampler_options.pop("infill", None)) is not None:
            _refuse_twice(self.pipeline.spec.make, given)
            given[self.pipeline.spec.make] = self._template(template)
        asked = self.request(n, given, seed)
        asked.beside = self._drawn_beside(asked, given)
        notes += [
            f"the {name} beside what was made is real, drawn from the data: give another with --given {name}=VALUE "
            f"where the samples are for others to see"
            for name in asked.beside
        ]
        asked.notes += notes + self.rare(asked, list(given))
        return asked

    def request(self, n: int, given: Mapping[str, Any], seed: int, known: Given | None = None) -> Asked:
        """What is given and, for the rest, what is drawn.

        known  what is given as stored tensors already
        """
        stored: Given = self.drawn(n, {*given, *(known or {})}, seed)
        if not self.task.paired:
            stored, given = self._with_domain(stored, given, n)
            if "source" not in {*given, *(known or {})}:
                stored = self._with_sources(n, stored, seed)
        rng = torch.Generator().manual_seed(seed)
        return self.pipeline.request(n, given, rng, {**stored, **(known or {})})

    def _drawn_beside(self, asked: Asked, given: Collection[str]) -> tuple[str, ...]:
        """What nobody gave of whole fields of an example, so that it was drawn: prompts, pictures of a caption."""
        asks, scalars, make = self.pipeline.spec.asks, self.pipeline.scalars, self.pipeline.spec.make
        if not self.task.paired:
            return ()
        free = (name for name in asked.values if name not in given and name not in scalars)
        return tuple(name for name in free if name == asks[name].field != make)

    def make(self, n: int, asked: Asked, seed: int, sampler_options: dict[str, Any]) -> Samples:
        """`n` examples of what was asked for."""
        values, _ = self.drawn_values(n, asked, seed, sampler_options)
        return self.answer(values, asked, seed)

    def together(
        self, wanted: Sequence[tuple[int, Asked, int]], sampler_options: Mapping[str, Any]
    ) -> list[Samples]:
        """What `make` gives for each of several small requests, made at once: how many, what is asked for, and the
        seed of each. Of none of them may a part of an example be known. Raises `Unsupported` where the sampler cannot
        make several requests at once."""
        requests = [(n, asked.request.cond, seed) for n, asked, seed in wanted]
        assert all(asked.request.known is None for _, asked, _ in wanted)
        found = []
        for made, (_, asked, seed) in zip(
            self._sampler().together(requests, **sampler_options), wanted, strict=True
        ):
            rng = torch.Generator(made.device).manual_seed(chunk_seed(seed, 0))
            values = self.pipeline.decoded(self.pipeline.finished(made, asked, rng), asked)
            found.append(self.answer(values, asked, seed))
        return found

    def drafted(
        self, draft: Draft, rows: slice, asked: Asked, seed: int, behind: int = 0
    ) -> Samples | None:
        """What a sampler has of some examples before they are finished (`families/drafts.py`); None where a part of
        them is not made yet, and it cannot be said which.

        rows    of the draft, that are of this request
        behind  how many examples of the same request come before them
        """
        made = draft.examples()[rows]
        places = draft.places if made.ndim == 3 else None  # of examples that are a row of them
        if places is not None:
            asked = replace(asked, length=min(places, asked.length or places))
        rng = torch.Generator(made.device).manual_seed(chunk_seed(seed, behind))  # as at the end
        stored = self.pipeline.finished(made, asked, rng, behind)
        values = self.pipeline.decoded(stored, asked, behind)
        if draft.hidden is not None and places is None:
            hidden = draft.hidden()[rows][..., : stored.shape[-1]]
            if hidden.shape != stored.shape:
                return None
            x, gaps = (tensor.cpu().numpy() for tensor in (stored, hidden))
            make = self.pipeline.spec.make
            values[make] = self.pipeline.made.in_progress(values[make], x, gaps)
        return self.samples(values)

    def drawn_values(
        self, n: int, asked: Asked, seed: int, sampler_options: dict[str, Any]
    ) -> tuple[dict[str, Values], list[int]]:
        """The raw values of `n` examples of what was asked for, and their places in it, which are all."""
        pipeline, parts = self.pipeline, list[dict[str, Values]]()
        for behind, stored in self._stored(n, asked, seed, sampler_options):
            if asked.imputed:
                stored = self._imputed(stored, asked, behind, seed, sampler_options)
            parts.append(pipeline.decoded(stored, asked, behind))
        values = {name: pipeline.fields[name].join([part[name] for part in parts]) for name in parts[0]}
        return values, list(range(n))

    def _imputed(
        self, stored: Tensor, asked: Asked, behind: int, seed: int, sampler_options: dict[str, Any]
    ) -> Tensor:
        """Where a model says that what it was to make is missing, as it was in training, it is asked again, with
        all else as known: a gap is to be filled."""
        numbers = range(behind, behind + len(stored))
        known = self._known(self.pipeline.chosen(asked, numbers))
        for turn in range(1, TURNS):
            gaps = self.pipeline.made.unfilled(stored) & ~known
            rows = torch.nonzero(gaps.flatten(1).any(1))[:, 0]
            if not len(rows):
                return stored
            part = self.pipeline.chosen(asked, [behind + i for i in rows.tolist()])
            part = self.pipeline.continued(part, stored[rows], ~gaps[rows])
            again = chunk_seed(chunk_seed(seed, -turn), behind)
            stored = stored.clone()
            stored[rows] = self.stored(len(rows), part, again, dict(sampler_options))
        left = int((self.pipeline.made.unfilled(stored) & ~known).flatten(1).any(1).sum())
        if left:
            asked.notes.append(
                f"{left:,} rows keep a gap: the model says that what belongs there is missing"
            )
        return stored

    def _known(self, asked: Asked) -> Tensor:
        part = asked.given[self.pipeline.spec.make]
        assert isinstance(part, tuple)
        return part[1]

    def answer(
        self, values: dict[str, Values], asked: Asked, seed: int, some: slice = slice(None)
    ) -> Samples:
        """What was asked for, with what is to be said of it."""
        pipeline, samples = self.pipeline, self.samples(values)
        samples.notes, samples.provenance = list(asked.notes), self.provenance(seed)
        if samples.provenance is not None and asked.beside:
            samples.provenance = replace(samples.provenance, real=asked.beside)
        for name, ask in pipeline.spec.asks.items():
            if ask.field == pipeline.spec.make and not ask.partial and name in asked.values:
                numbers = range(*some.indices(len(asked.values[name])))
                samples.sources = pipeline.asker(name).take(asked.values[name], numbers)
        return samples

    def samples(self, values: dict[str, Values]) -> Samples:
        pipeline, memory = self.pipeline, self.recipe.data.memory
        return Samples(values, pipeline.spec.make, pipeline.codec, pipeline.fields, memory=memory)

    def stored(self, n: int, asked: Asked, seed: int, sampler_options: dict[str, Any]) -> Tensor:
        """Stored examples of the field that is made, `n` of them."""
        return torch.cat([stored for _, stored in self._stored(n, asked, seed, sampler_options)])

    def _stored(
        self, n: int, asked: Asked, seed: int, sampler_options: dict[str, Any]
    ) -> Iterator[tuple[int, Tensor]]:
        """The same some at a time, with how many come before."""
        request, family = asked.request, self._sampler()
        known: dict[str, Any] = {}
        if request.known is not None:
            x, mask = request.known
            assert isinstance(family, Infilling)
            known = {"partial": family.partial(self.pipeline.bridge.forward(x), mask)}
        behind = 0
        for made in family.stream(n, request.cond, seed=seed, **known, **sampler_options):
            rng = torch.Generator(made.device).manual_seed(chunk_seed(seed, behind))
            yield behind, self.pipeline.finished(made, asked, rng, behind)
            behind += len(made)

    def _sampler(self) -> Generative:
        """The family, ready to make examples as its training did."""
        family = generative(self.family)
        family.grammar = self.pipeline.grammar
        family.half_precision = in_bfloat16(family, self.recipe.train.precision)
        return family

    def rare(self, asked: Asked, names: Sequence[str]) -> list[str]:
        """What of these names is given that training has hardly seen, a sentence each; of several together where
        the data are still there."""
        found = [one for name in names for one in self.pipeline.rare(name, asked.values[name])]
        asks = [self.pipeline.spec.asks[name] for name in names]
        several = sum(name in self.pipeline.scalars for name in names) > 1
        if found or not (several or any(ask.partial and not ask.space.grid for ask in asks)):
            return found
        try:
            train = self.dataset.splits["train"]
        except GenwrightError:
            return []
        return [] if train.window else self.pipeline.rare_together(asked, names, train)

    def _prefix(self, prompt: Any) -> list[int]:
        if "prefix" not in self.sampler_options():
            raise Unsupported(
                f"{self.recipe.family.name} cannot go on from a prompt; autoregressive can",
                code="no-prompt",
            )
        prefix = self.pipeline.made.prompt(prompt)
        if self.bridge.target != self.bridge.source:
            raise Unsupported(
                f"this model makes what the bridge {self.recipe.bridge.name} leads to, where no prompt "
                f"goes: train one with --set bridge.name=none",
                code="no-prompt",
            )
        return prefix

    def _template(self, template: Any) -> Any:
        spec = self.pipeline.spec
        if spec.make not in spec.asks or not spec.asks[spec.make].partial:
            raise Unsupported(
                f"{self.family.name} makes whole examples and cannot keep a part of one: train --family masked, "
                f"which can, autoregressive, which goes on from a beginning, or any with --task complete",
                code="no-gaps",
            )
        return template

    def drawn(
        self, n: int, given: Collection[str], seed: int
    ) -> dict[str, Tensor | tuple[Tensor, Tensor]]:
        """Stored values of what is neither given nor left open."""
        spec, found = self.pipeline.spec, dict[str, Tensor | tuple[Tensor, Tensor]]()
        rest, scalars = [], self.pipeline.scalars
        for i, (name, ask) in enumerate(spec.asks.items()):
            if name in given or ask.missing != "draw":
                continue
            if counts := self._frequency(ask.field):
                symbols = _proportional(counts, n, np.random.default_rng([seed, i]))
                found[name] = torch.from_numpy(symbols[:, None]).long()
            elif name not in scalars or not spec.conds[name].drop:
                rest.append(name)
            elif (some := scalars[name].drawn(n, np.random.default_rng([seed, i]))) is not None:
                found[name] = some
        if rest and self.task.paired:
            parts = (self.dataset.splits[part] for part in ("val", "test", "train"))
            split = next(
                part for part in parts if len(part)
            )  # what is judged by comes last of the held-out
            numbers = np.random.default_rng([seed, 7]).permutation(np.resize(np.arange(len(split)), n))
            asked, _ = self.pipeline.cases(split, numbers, torch.Generator().manual_seed(seed))
            found |= {name: asked.given[name] for name in rest}
        return found

    def _frequency(self, name: str) -> Mapping[str, int]:
        """How often each symbol of a field came, of those that can be asked for."""
        counts = self.pipeline.frequency.get(name, {})
        if self.task.paired:
            return counts
        targets = {str(symbol) for symbol in self._translator.targets}
        return {symbol: count for symbol, count in counts.items() if symbol in targets}

    # -- translation without pairs -------------------------------------------------------------

    @property
    def _translator(self) -> Translator:
        """The family of a task without pairs, which says from which domains it translates to which."""
        assert isinstance(self.family, Translator)
        return self.family

    def _domain(self, name: str, value: Any, n: int) -> Tensor:
        """A domain as stored. Raises `DataError` for one that the data does not know, `Unsupported` for one that
        the model does not translate to."""
        values = self.pipeline.each(name, value, n)
        stored, values = self.pipeline.scalars[name].given(values)
        known = {str(domain) for domain in self.domains}
        if wrong := {str(one) for one in values} - known:
            raise Unsupported(
                f"this model does not translate to {min(wrong)}, only to {', '.join(map(str, self.domains))}",
                code="no-such-domain",
            )
        return stored

    def _with_sources(self, n: int, asked: Given, seed: int) -> Given:
        """With held-out examples, each of another domain than it is to be brought to."""
        (name,) = self.task.given
        domain, make = asked[name], self.pipeline.spec.make
        assert isinstance(domain, Tensor)
        splits = [split for part in ("val", "train") if len(split := self.dataset.splits[part])]
        own = [np.asarray(split.arrays[name])[:, 0] for split in splits]
        which, numbers = sources_of_others(own, domain[:, 0].numpy(), self._translator.origins, seed)
        pairs = zip(which.tolist(), numbers.tolist(), strict=True)
        found = [splits[split].gather(np.array([i]), [make])[make] for split, i in pairs]
        return {**asked, "source": self.pipeline.made.expand(np.concatenate(found))}

    @property
    def generates(self) -> bool:
        """Whether it makes examples, and not codes alone."""
        return isinstance(self.family, Generative)

    def sampler_options(self) -> list[str]:
        """Those of its family. Raises `Unsupported` for one that makes no examples."""
        return generative(self.family).sampler_options()

    @property
    def makes_from_labels(self) -> bool:
        """Whether it makes whole examples, from labels at most: nothing else has to be given."""
        asks = self.pipeline.spec.asks
        return all(name in self.pipeline.scalars or ask.missing == "open" for name, ask in asks.items())

    @property
    def domains(self) -> list[Any]:
        """The domains that it translates to, by name. Raises `Unsupported` if it does not translate."""
        if self.task.paired:
            raise Unsupported(
                f"{self.recipe.family.name} makes new examples and translates none: genwright sample makes "
                f"some; to translate, train --family cyclegan or stargan",
                code="no-translation",
            )
        (column,) = self.pipeline.scalars.values()
        return column.decode(np.array(self._translator.targets)[:, None])

    # -- files to files ------------------------------------------------------------------------

    def apply(
        self,
        paths: Sequence[Path],
        given: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        draws: int | None = None,
        mask: Path | None = None,
        pool: bool = False,
        maker: Callable[[int], Maker] | None = None,
        **sampler_options: Any,
    ) -> Samples:
        """What the model makes of files: one example for each that is read; what cannot be read stands in the notes.

        given  what else can be given, by name: one value for all
        draws  so many of each file (None: as the field of what is made has it)
        mask   a file, or a folder of files by the same names, that says where something is to be made
        pool   make one of the draws, 29 where nobody says: the mean of a number or a pixel, the most frequent category
        maker  gives for about how many examples there are what makes them (None: the model)
        Raises `Unsupported` for a model that makes nothing of files, `DataError` where nothing can be read.
        """
        application = Application(self, given or {}, seed, draws, mask, pool, options=sampler_options)
        if maker is not None:
            application.maker = maker(max(1, application.total(paths) * application.many))
        samples = gathered(application.of(paths))
        samples.notes = [*application.notes, *samples.notes]
        return samples

    def applied(self) -> tuple[str, str]:
        """Which ask files are for, and its field. Raises `Unsupported` where there is none."""
        spec = self.pipeline.spec
        for name, ask in spec.asks.items():
            field = self.pipeline.fields[ask.field]
            if not (isinstance(field, ColumnField) or field.derived):
                return name, ask.field
        raise Unsupported(
            f"this model makes {spec.make!r} from nothing that a file holds: genwright sample makes new ones; "
            f"to make one thing from another, train with --task restore, complete or pair",
            code="nothing-to-apply",
        )

    def _with_domain(
        self, stored: Given, given: Mapping[str, Any], n: int
    ) -> tuple[Given, Mapping[str, Any]]:
        """What is given of a task without pairs, with the domain among what is stored."""
        (name,) = self.task.given
        if name not in given:
            return stored, given
        rest = {other: value for other, value in given.items() if other != name}
        return {**stored, name: self._domain(name, given[name], n)}, rest

    # -- others --------------------------------------------------------------------------------

    def judged_better(self) -> list[str]:
        """Baselines that were nearer to the right answers when the run was judged, by the report that lies in it."""
        if "run" not in vars(self):
            return []
        try:
            said = json.loads((self.run.path / "judge" / "report.json").read_text(encoding="utf-8"))
            return [one["instead"] for one in said["claims"] if one.get("instead")]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []  # it was not judged, or the report is not whole, which is said where it is shown

    def provenance(self, seed: int) -> Provenance | None:
        """What makes examples from a seed here; None before there is a run."""
        if "run" not in vars(self):
            return None
        return Provenance(self.run.path.resolve().name, self.step, seed)

    def using(self, family: Family, step: int) -> Model:
        """The same with other weights: those of a family that is being trained, at a step."""
        other = copy.copy(self)
        other.family, other.step = family, step
        return other

    def __repr__(self) -> str:
        given = ", ".join(self.pipeline.spec.asks) or "nothing"
        return f"Model({self.recipe.family.name} of {self.pipeline.made.space}, given {given})"


def gathered(parts: Iterator[Samples | Left]) -> Samples:
    """All that is made of files, with what was left out among the notes."""
    made, left = list[Samples](), list[str]()
    for part in parts:
        if isinstance(part, Samples):
            made.append(part)
        else:
            left.append(f"left out: {part.name}: {part.reason}")
    samples = Samples.joined(made)
    samples.notes += left
    return samples


def refuse_existing(files: Sequence[Path]) -> None:
    """Raise `RunError` where one of the files is there."""
    if there := next((file for file in files if file.exists()), None):
        raise RunError(f"{there} exists: choose another folder with --out", code="file-exists")


def _unique(names: Sequence[str]) -> list[str]:
    """The names, each with a number behind it from the second of its kind on: of files of one name from two
    folders."""
    found: dict[str, None] = {}
    for name in names:
        free, number = name, 1
        while free in found:
            number += 1
            free = f"{name}-{number}"
        found[free] = None
    return list(found)


def _refuse_twice(name: str, there: Collection[str]) -> None:
    if name in there:
        raise RecipeError(f"{name!r} is given twice: give it once", code="given-twice")


def pipeline_of(run: Run, recipe: Recipe, codec: Codec | None = None) -> Pipeline:
    """The pipeline of a run, from what it has kept.

    codec  that of its data, where they are open (None: built now)
    """
    known = upgraded(run.codec)
    codec = codec or make_codec(known["codec"], known["options"])
    fields = {name: codec.restored(state) for name, state in known["fields"].items()}
    bridge = make_bridge(known["bridge"]["name"], known["bridge"]["options"])
    bridge.restore(known["bridge"]["state"], run.bridge_tensors)
    labels = [name for name in fields if name != codec.main]
    task = make_task(recipe.task.name, {"make": codec.main, "given": labels} | recipe.task.options)
    return Pipeline(
        known["codec"],
        codec,
        fields,
        task,
        bridge,
        known["frequency"],
        infills=infills(recipe.family.name),
    )


def upgraded(known: dict[str, Any]) -> dict[str, Any]:
    """What a run of the first format knows of its data, as one of today says it."""
    if "fields" in known:
        return known
    kind: type[Codec] = resolve("codecs", known["codec"])
    fields = {kind.main: {"field": kind.field_types[0].kind, **known["state"]}}
    fields |= {name: {"field": "column", **state} for name, state in known["given"].items()}
    return known | {"fields": fields}


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
