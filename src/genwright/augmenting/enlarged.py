"""An enlarged or balanced training set: the real training examples, synthetic ones beside them, and a verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright.augmenting.downstream import Predictor
from genwright.augmenting.selection import Selected, Selection
from genwright.augmenting.trial import Effect, trial
from genwright.data.codec import Array, Values
from genwright.data.field import Field
from genwright.data.provenance import mark_files, mark_folder
from genwright.errors import DataError, RecipeError, Unsupported
from genwright.evaluation.baselines import is_text, mix
from genwright.evaluation.evidence import Sample
from genwright.finishing.steps import RealExamples
from genwright.model import Model
from genwright.storage import durable
from genwright.variations import strengths, vary

__all__ = ["Enlarged", "Enlargement"]

MARK = "synthetic"
"""The column that tells synthetic examples (1) from real ones (0)."""
SEEDS, MOST_SEEDS = 5, 20
"""Of the trial, and up to how many where its verdict is open."""
PLAIN = ("shift", "rotate", "scale")
"""Plain augmentation of pictures: what keeps a class more often than not."""
LEAST_TEST = 20
MOST = 1000
"""Times as large as it was, at most."""
NAMES = {
    "synthetic": "synthetic examples",
    "plain": "plain augmentation",
    "repeated": "repetition",
    "smote": "SMOTE",
}


@dataclass(frozen=True)
class Enlarged:
    """What was written, and what it is worth.

    real      training examples
    selected  the synthetic ones
    effects   of adding them, and of adding as many by plain means
    """

    label: str
    real: int
    selected: Selected
    effects: tuple[Effect, ...]
    folder: Path | None = None

    @property
    def verdict(self) -> str:
        """In a sentence, with what is as good or better."""
        synthetic, *others = self.effects
        better = [one.name for one in others if one.is_ahead_of(synthetic)]
        beside = (
            f"; {' and '.join(better)} {'does' if len(better) == 1 else 'do'} better" if better else ""
        )
        return f"{synthetic.sentence()}{beside}"

    def json(self) -> dict[str, Any]:
        kept = self.selected
        return {
            "label": self.label,
            "real": self.real,
            "synthetic": sum(kept.kept.values()),
            "asked": kept.asked,
            "kept": kept.kept,
            "dropped": kept.dropped,
            "notes": kept.notes,
            "outcome": self.effects[0].outcome,
            "verdict": self.verdict,
            "effects": [asdict(one) | {"outcome": one.outcome} for one in self.effects],
        }


class Enlargement:
    """A model's training set, to be enlarged.

    label  the classes that are kept apart (None: that of the run)
    """

    def __init__(self, model: Model, label: str | None, seed: int) -> None:
        self.model, self.seed = model, seed
        self.real = RealExamples(model, len(model.dataset.splits["train"]))
        self.field: Field = self.real.data.field
        if self.field.stream:
            raise Unsupported(
                "a text in one piece has no examples to balance or to count: augment takes labelled texts, pictures, "
                "sounds or rows",
                code="no-labels",
            )
        label = label or next(iter(self.real.data.given), None)
        if label is None:
            raise RecipeError(
                "whether more examples help is asked of a label: train the run with --label, or name a column with "
                "--balance",
                code="no-labels",
            )
        self.label = label
        self.predictor = Predictor(self.real.evidence, label)
        if label not in model.pipeline.spec.asks and not self._is_own(label):
            raise Unsupported(
                f"this run cannot be asked for a {label!r}: train one with --label {label}",
                code="no-such-label",
            )

    def _is_own(self, label: str) -> bool:
        """Whether the label is a column that the model makes and can be told."""
        main = self.model.pipeline.spec.make
        return label in self.field.parts and main in self.model.pipeline.spec.asks

    def wanted(self, factor: float | None, balance: bool) -> dict[str, int]:
        """How many of each class to make. Raises `RecipeError` where that is none, or too many."""
        factor = 2.0 if factor is None else factor
        if not 1 < factor <= MOST:
            raise RecipeError(
                f"--factor must be above 1 and at most {MOST}, got {factor:g}", code="out-of-range"
            )
        counts = self.predictor.counts
        most = max(counts.values())
        wanted = {name: most - n if balance else round((factor - 1) * n) for name, n in counts.items()}
        if not any(n > 0 for n in wanted.values()):
            raise RecipeError(
                "there is nothing to add: the classes are equally large already"
                if balance
                else f"there is nothing to add: --factor {factor:g} comes to no example of any class",
                code="nothing-to-add",
            )
        return wanted

    def make(self, wanted: Mapping[str, int], seeds: int = SEEDS, most: int = MOST_SEEDS) -> Enlarged:
        """Select examples, and try what they are worth. Raises `DataError` for too few examples to test on.

        seeds, most  of the trial: so many, and up to how many where these leave it open
        """
        data, splits = self.real.data, self.real.data.dataset.splits
        if len(splits["test"]) < LEAST_TEST:
            raise DataError(
                f"{len(splits['test'])} examples are held out to test on, and {LEAST_TEST} are needed to say whether "
                f"more examples help: give more data, or raise data.test",
                code="too-few-examples",
            )
        selected = Selection(self.model, self.real, self.predictor, self.seed)(wanted)
        assert selected.samples is not None
        made, _ = self.real.sample(selected.samples.values)
        assert made is not None
        test = data.real(splits["test"], len(splits["test"]), np.random.default_rng([self.seed, 7]))
        added = {NAMES["synthetic"]: self.predictor.read(made)}
        for name, sample in self._plain(selected.kept).items():
            added[NAMES[name]] = self.predictor.read(sample)
        train, exam = self.predictor.read(self.real.train), self.predictor.read(test)
        effects = trial(self.predictor, train, exam, added, range(seeds), range(seeds, most))
        return Enlarged(self.label, len(splits["train"]), selected, tuple(effects))

    # -- what it is held against -------------------------------------------------------------------

    def _plain(self, counts: Mapping[str, int]) -> dict[str, Sample]:
        """As many examples of each class by plain augmentation, or repetition where there is none, and by SMOTE."""
        train, rng = self.real.train, np.random.default_rng([self.seed, 8])
        labels = np.array([str(value) for value in self.predictor.labels(train)])
        raw = {str(value): value for value in self.predictor.labels(train)}
        space, found = self.field.space, dict[str, Sample]()
        places = {name: np.flatnonzero(labels == name) for name in counts}
        repeated = np.concatenate([rng.choice(places[name], n) for name, n in counts.items() if n])
        given = [raw[name] for name, n in counts.items() for _ in range(n)]
        pictures = len(space.grid) == 2 and space.kind == "real"
        if pictures:
            torch_rng = torch.Generator().manual_seed(self.seed)
            x = vary(torch.from_numpy(train.x[repeated]), torch_rng, strengths(PLAIN)).numpy()
            found["plain"] = self._sample(x, given)
        else:
            found["repeated"] = self._sample(train.x[repeated], given)
        if not is_text(space):
            smote = [mix(train.x[places[name]], space, n, rng) for name, n in counts.items() if n]
            found["smote"] = self._sample(np.concatenate(smote), given)
        return found

    def _sample(self, x: Array, given: list[Any]) -> Sample:
        own = self.label in self.field.parts
        return self.real.data.decoded(x, {} if own else {self.label: given})

    # -- files -------------------------------------------------------------------------------------

    def write(self, found: Enlarged, folder: Path, *, mark: bool = True) -> list[Path]:
        """The real training examples and the synthetic ones behind them, in the form of the data; a column says which
        is which, and `augmentation.json` what they are worth."""
        samples = found.selected.samples
        assert samples is not None
        real = self._real_values(list(samples.values))
        fields, values = samples.fields, dict[str, Values]()
        for name, some in samples.values.items():
            values[name] = fields[name].join([real[name], some])
        n, more = found.real, len(samples)
        taken = {*map(str, getattr(values[samples.make], "columns", ())), *values}
        name = MARK
        while name in taken:
            name += "_"
        values[name] = ["0"] * n + ["1"] * more
        folder.mkdir(parents=True, exist_ok=True)
        files = samples.codec.write(values, fields, folder)
        if mark and samples.provenance is not None:
            own = [file for file in files if file.stem.isdigit() and int(file.stem) >= n]
            if own:
                mark_files(own, samples.provenance, folder)
            else:
                mark_folder(samples.provenance, folder)
        text = json.dumps(found.json(), indent=1, ensure_ascii=False) + "\n"
        durable.write(folder / "augmentation.json", text.encode(errors="backslashreplace"))
        return files

    def _real_values(self, names: list[str]) -> dict[str, Values]:
        """The raw training examples, by field."""
        dataset = self.model.dataset
        split = dataset.splits["train"]
        compact = split.gather(np.arange(len(split)), names)
        found: dict[str, Values] = {}
        for name in names:
            field = dataset.fields[name]
            found[name] = field.decode(field.expand(compact[name]).numpy())
        return found
