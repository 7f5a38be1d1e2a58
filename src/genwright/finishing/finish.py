"""Making examples until as many as were asked for pass every step.

What fails is made again with the same request. The same seed gives the same bytes; what passes at the first try is what
would have been made without any step.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.codec import Array, Values
from genwright.data.provenance import Provenance
from genwright.errors import RecipeError, RunError, suggest
from genwright.families.capabilities import chunk_seed
from genwright.finishing.following import Following
from genwright.finishing.repair import Repair, Required, constraints_of, never_kept
from genwright.finishing.steps import DROPS, Copies, Step, steps_of
from genwright.model import Model, Samples
from genwright.options import Count
from genwright.pipeline import Asked
from genwright.registry import check

__all__ = ["ROUNDS", "Counts", "Finish"]

ROUNDS = 10
"""Times that an example is made, at most, until one passes."""
BLOCK = 256
"""Examples that go through the steps at once, at least."""
AGAIN = 1 << 40
"""Sets the seeds of further rounds apart from those of several draws of a file."""

MEND = 1 << 41
"""Sets the seeds of repairs apart from both."""

Made = tuple[dict[str, Values], list[int], list[float]]
"""Raw values by field, the places in the request that they are for, and their scores."""


@dataclass
class Counts:
    """What became of what was made.

    drawn    examples that were made in all
    dropped  by step, how many it was that said no first
    reasons  the first reason that each of them had
    rounds   that were needed at most
    repaired examples of which places that broke a constraint were made again
    scores   of what is kept, in its order, where it was ordered
    """

    asked: int
    best_of: int = 1
    ranked_by: str = ""
    made: int = 0
    drawn: int = 0
    rounds: int = 0
    repaired: int | None = None
    scores: list[float | None] | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """As JSON."""
        dropped = {
            name: {"count": count, **({"example": self.reasons[name]} if count else {})}
            for name, count in self.dropped.items()
        }
        best: dict[str, Any] = {"best_of": self.best_of} if self.best_of > 1 else {}
        best |= {"ranked_by": self.ranked_by} if self.ranked_by else {}
        best |= {"scores": self.scores} if self.scores is not None else {}
        best |= {"repaired": self.repaired} if self.repaired is not None else {}
        counts = {"asked": self.asked, "made": self.made, "drawn": self.drawn, "rounds": self.rounds}
        return {**counts, "dropped": dropped, **best}

    def sentence(self) -> str:
        """On one line."""
        words = [
            f"{count:,} as {name}" + (f" (one: {self.reasons[name]})" if count else "")
            for name, count in self.dropped.items()
        ]
        said = f"drew {self.drawn:,}" + (f", dropped {', '.join(words)}" if words else "")
        said += f", repaired {self.repaired:,}" if self.repaired is not None else ""
        said += f", kept the best of {self.best_of} by {self.ranked_by}" if self.best_of > 1 else ""
        said += f", ordered by {self.ranked_by}" if self.scores is not None else ""
        return f"{said}, in {self.rounds} {'round' if self.rounds == 1 else 'rounds'}"


class Finish:
    """A model whose examples go through steps.

    drop     names of what is dropped: `invalid`, `copies`
    best_of  so many are made for each place, of which the best that passes is kept
    rank     order what is kept, the best first, by `likelihood`, by `nearness` to real examples, or the first of the
             two that can be had (`auto`); all of it is held until then
    require  constraints, such as `age >= 18`, or a TOML file of them: what breaks one is repaired where the family
             can keep the rest, and else dropped
    n        examples that will be asked for
    then     another model, which makes something of each that is kept, with `then_options` of its sampler
    seed     of all of it
    Raises `RecipeError` for a name that is not known, `Unsupported` where nothing can rank or tell copies, `RunError`
    where the training data are needed and not there.
    """

    def __init__(
        self,
        model: Model,
        drop: Sequence[str] = (),
        best_of: int = 1,
        *,
        rank: str | None = None,
        require: str | Path | Sequence[str] = (),
        n: int = 1,
        then: Model | None = None,
        then_options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        check({"best_of": best_of, "n": n}, {"best_of": Count, "n": Count}, where="sample")
        for name in drop:
            if name not in DROPS:
                raise RecipeError(
                    f"{name!r} is nothing that can be dropped; {suggest(name, DROPS)}",
                    code="no-such-step",
                )
        self.model, self.best_of, self.n, self.seed = model, best_of, n, seed
        self.then = None if then is None else Following(model, then, seed, then_options)
        constraints, self.rank = constraints_of(model, require), rank is not None
        self._never_kept = never_kept(model, constraints) if constraints else []
        self.repair = Repair(model, constraints) if constraints else None
        self.steps: list[Step] = [Required(model, constraints)] if constraints else []
        self.steps += steps_of(model, drop, best_of, n, rank)
        ranked = self.steps[-1].name if best_of > 1 or rank else ""
        names = [step.name for step in self.steps if step.name != ranked]
        repaired = 0 if self.repair is not None and self.repair.possible else None
        self.counts = Counts(n, best_of, ranked, repaired=repaired, dropped=dict.fromkeys(names, 0))

    @property
    def notes(self) -> list[str]:
        """What is to be said of the steps."""
        found = [step.note for step in self.steps if isinstance(step, Copies) and step.note]
        found += self._never_kept
        if self.repair is not None and not self.repair.possible:
            found.append(
                f"{self.model.family.name} cannot keep a part of an example here: what breaks a constraint is made "
                f"again as a whole (masked, or any family with --task complete, could repair it)"
            )
        return found

    def sample(self, given: Mapping[str, Any] | None = None, **sampler_options: Any) -> Samples:
        """All of `stream`, with the counts among what is said of where they come from."""
        samples = Samples.joined(list(self.stream(given, **sampler_options)))
        if self.steps or self.then is not None:
            samples.provenance = self.provenance(samples.provenance)
        return samples

    def stream(
        self, given: Mapping[str, Any] | None = None, **sampler_options: Any
    ) -> Generator[Samples, None, None]:
        """The examples that pass, some at a time; fewer than asked for where no try of some passed. Raises `RunError`
        where none of any did."""
        model, seed = self.model, self.seed
        asked = model.asked(self.n, dict(given or {}), seed, sampler_options)
        asked.notes += self.notes
        blocks = self._kept(asked, sampler_options)
        for place, samples in self._ordered(blocks) if self.rank else blocks:
            for one in [samples] if self.then is None else self.then.of(samples, place):
                self.counts.made += len(one)
                yield one
        if not self.counts.made:
            raise RunError(
                f"none of {self.n:,} passed: {self.counts.sentence()}; train longer, or drop less",
                code="none-passed",
            )

    def maker(
        self, n: int, asked: Asked, seed: int, sampler_options: dict[str, Any]
    ) -> tuple[dict[str, Values], list[int]]:
        """What passes of `n` examples of what was asked for, and their places in it: the `Maker` of an application."""
        drawn, _ = self.model.drawn_values(n, asked, seed, dict(sampler_options))
        asked.notes += [note for note in self.notes if note not in asked.notes]
        found, places, _ = self._passed(drawn, asked, seed, 0, sampler_options)
        self.counts.made += len(places)
        return found, places

    def _kept(self, asked: Asked, options: dict[str, Any]) -> Iterator[tuple[int, Samples]]:
        """What passes, a block at a time, with the place of its first; its scores among the counts if it is to be
        ordered."""
        pipeline, seed = self.model.pipeline, self.seed
        for place, values in self._blocks(asked, seed, options):
            n = len(values[pipeline.spec.make])
            part = pipeline.chosen(asked, range(place, place + n))
            found, places, scores = self._passed(values, part, seed, place, options)
            if places:
                if self.rank:
                    self.counts.scores = [*(self.counts.scores or []), *scores]
                yield place, self.model.answer(found, pipeline.chosen(part, places), seed)

    def _ordered(self, blocks: Iterator[tuple[int, Samples]]) -> Iterator[tuple[int, Samples]]:
        """All of it, the best first."""
        parts = [samples for _, samples in blocks]
        if not parts:
            return
        samples, scores = Samples.joined(parts), np.array(self.counts.scores, dtype=float)
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order].tolist()
        self.counts.scores = [float(f"{one:.6g}") if math.isfinite(one) else None for one in ordered]
        values = self._joined([self._taken(samples.values, order.tolist())])
        sources = samples.sources
        if sources is not None:
            sources = samples.fields[samples.make].take(sources, order.tolist())
        yield 0, replace(samples, values=values, sources=sources)

    def provenance(self, made: Provenance | None) -> Provenance | None:
        """With the counts."""
        return None if made is None else replace(made, finish=self.counts.entry())

    def _blocks(
        self, asked: Asked, seed: int, options: dict[str, Any]
    ) -> Iterator[tuple[int, dict[str, Values]]]:
        """What the model makes at the first try, in blocks, with the place of the first."""
        held, first, count = list[dict[str, Values]](), 0, 0
        for place, values in self.model.parts(self.n, asked, seed, options):
            held.append(values)
            count = place + len(values[self.model.pipeline.spec.make]) - first
            if count >= BLOCK:
                yield first, self._joined(held)
                held, first, count = [], first + count, 0
        if held:
            yield first, self._joined(held)

    def _passed(
        self, drawn: dict[str, Values], asked: Asked, seed: int, place: int, options: dict[str, Any]
    ) -> Made:
        """What passes of a block, in the order of its places, after as many tries as it takes, and how good it is.

        drawn  the first candidates
        place  of the block among all
        """
        found, places, good = list[dict[str, Values]](), list[int](), list[float]()
        waiting = list(range(len(drawn[self.model.pipeline.spec.make])))
        for turn in range(ROUNDS):
            self.counts.rounds = max(self.counts.rounds, turn + 1)
            part, n = self.model.pipeline.chosen(asked, waiting), len(waiting)
            tries = range(turn * self.best_of, (turn + 1) * self.best_of)
            made = [drawn if t == 0 else self._again(n, part, seed, t, place, options) for t in tries]
            if self.repair is not None:
                made = [
                    self._mended(one, part, seed, t, place, options)
                    for t, one in zip(tries, made, strict=True)
                ]
            scores = np.stack([self._scores(values, part) for values in made])
            for values, row, own in zip(made, scores, _best(scores), strict=True):
                if own:
                    found.append(self._taken(values, own))
                    places += [waiting[i] for i in own]
                    good += row[own].tolist()
            waiting = sorted({*waiting} - {*places})
            if not waiting:
                break
        if not places:
            return {}, [], []
        order = np.argsort(places).tolist()
        kept = self._joined([self._taken(self._joined(found), order)])  # numbered from 0
        return kept, sorted(places), [good[i] for i in order]

    def _mended(
        self,
        values: dict[str, Values],
        asked: Asked,
        seed: int,
        turn: int,
        place: int,
        options: dict[str, Any],
    ) -> dict[str, Values]:
        """The same, with what breaks a constraint repaired."""
        assert self.repair is not None
        seed = chunk_seed(chunk_seed(seed, -turn), place + MEND)
        values, mended = self.repair(values, asked, seed, options)
        if self.counts.repaired is not None:
            self.counts.repaired += len(mended)
        return values

    def _again(
        self, n: int, asked: Asked, seed: int, turn: int, place: int, options: dict[str, Any]
    ) -> dict[str, Values]:
        """Further candidates, with identifiers that no others have."""
        asked = replace(asked, first=asked.first + turn * self.n + place)
        seed = chunk_seed(chunk_seed(seed, -turn), place + AGAIN)
        return self.model.drawn_values(n, asked, seed, dict(options))[0]

    def _scores(self, values: dict[str, Values], asked: Asked) -> Array:
        """Of each example, NaN where it is dropped; a step sees those alone that the steps before let pass."""
        n = len(values[self.model.pipeline.spec.make])
        scores, left = np.zeros(n), list(range(n))
        self.counts.drawn += n
        for step in self.steps:
            if not left:
                break
            outcome = step(self._taken(values, left), self.model.pipeline.chosen(asked, left))
            scores[left] += outcome.scores
            for i, why in sorted(outcome.reasons.items()):
                scores[left[i]] = np.nan
                self.counts.dropped[step.name] += 1
                self.counts.reasons.setdefault(step.name, why)
            left = [place for i, place in enumerate(left) if i not in outcome.reasons]
        return scores

    # -- raw values ----------------------------------------------------------------------------

    def _joined(self, parts: Sequence[dict[str, Values]]) -> dict[str, Values]:
        fields = self.model.pipeline.fields
        return {name: fields[name].join([part[name] for part in parts]) for name in parts[0]}

    def _taken(self, values: dict[str, Values], places: Sequence[int]) -> dict[str, Values]:
        fields = self.model.pipeline.fields
        return {name: fields[name].take(some, places) for name, some in values.items()}


def _best(scores: Array) -> list[list[int]]:
    """By candidate, the places that it is kept for, from the scores `(candidates, n)`: of those that pass the best,
    and the first of equal ones."""
    passed = ~np.isnan(scores)
    best = np.where(passed, np.nan_to_num(scores, nan=-np.inf, neginf=-np.finfo(float).max), -np.inf)
    winner = np.where(passed.any(0), best.argmax(0), -1)
    return [np.flatnonzero(winner == i).tolist() for i in range(len(scores))]
