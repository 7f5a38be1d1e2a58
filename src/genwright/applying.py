"""What a model makes of files that a person has, a few at a time, so that memory does not grow with them.

A file that cannot be used is left out and named, and the rest goes on. Where a task is local, an input of another size
is made window by window (`tiled.py`). A file of rows is made again with its
gaps filled. What is made depends on the seed and on the place of a file among the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch
from torch import Tensor

from genwright.data.codec import Rejected, Rows, Values
from genwright.data.columns.formats import is_missing
from genwright.data.field import Field, Partial, Rule
from genwright.data.packed import suffix
from genwright.data.provenance import Provenance
from genwright.data.source import find
from genwright.errors import DataError, RecipeError, Unsupported, suggest
from genwright.families.capabilities import chunk_seed, generative
from genwright.pipeline import Asked
from genwright.tasks.base import Ask
from genwright.tiled import Tiled

if TYPE_CHECKING:
    from genwright.model import Model, Samples

__all__ = ["Application", "Left", "Maker"]

Left = Rejected
"""What was left out, and why."""
Maker = Callable[[int, Asked, int, dict[str, Any]], "tuple[dict[str, Values], list[int]]"]
"""From how many, what is asked for, a seed and the sampler's options to raw values, and for which of the examples."""
ROWS = 1024
"""Rows of a table that are filled at a time."""
POOLED = 29
"""Draws that are made one where nobody says how many: their mean errs by 2 % more than that of very many."""


def _nowhere(name: str) -> bool:
    return False


def _never() -> bool:
    return False


@dataclass
class Application:
    """A model that is to be applied.

    given   what else is given, by name: one value for all
    draws   so many are made of each file, and numbered, or made one of (`Field.pooled`); None: as the field has it
    mask    a file, or a folder of files by the names of the others, that says where something is to be made
    pool    make one of the draws (`Field.pooled`), as is done of a forecast anyway
    maker   makes what is asked for (None: the model)
    most    positions that an example of a file may have (None: as many as the codec takes for no attack)
    taken   whether there is something of a name already: that file is left out
    stop    whether to end, asked before each step
    report  is told of how many examples are through, up to `total`
    options of the sampler

    `notes` says what is odd about the files themselves, a sentence each.
    """

    model: Model
    given: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    draws: int | None = None
    mask: Path | None = None
    pool: bool = False
    maker: Maker | None = None
    most: int | None = None
    taken: Callable[[str], bool] = _nowhere
    stop: Callable[[], bool] = _never
    report: Callable[[float], None] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name, self.reads = self.model.applied()
        if self.name in self.given:
            raise RecipeError(
                f"{self.name!r} is what the files hold: leave --given {self.name} out",
                code="given-twice",
            )
        if self.draws is not None and self.draws < 1:
            raise RecipeError(f"--draws must be 1 or more, got {self.draws}", code="out-of-range")
        self.pipeline = self.model.pipeline
        self.field: Field = self.pipeline.asker(self.name)
        self.ask: Ask = self.pipeline.spec.asks[self.name]
        own = self.pipeline.made.draws if self.ask.partial else 1
        self._check_pool()
        self.many = self.draws or (POOLED if self.pool and own == 1 else own)
        self.notes: list[str] = []
        self._rule = self._chosen_rule()
        self._windows = Tiled(
            self.model, self.field, self.ask, self._of_windows, self._stopped, self.options
        )
        self._place = 0
        """Files before this one."""
        self._done, self._names = 0, dict[str, None]()
        self._waiting = list[tuple[Any, str]]()
        self._made_before = 0

    def _check_pool(self) -> None:
        """Raise where one answer is asked for, and there are not several or none can be made of them."""
        if not self.pool:
            return
        made = self.pipeline.made
        if self.draws == 1:
            raise RecipeError(
                f"--pool makes one answer of several draws, got --draws 1: ask for more, or leave --draws out for "
                f"{POOLED}",
                code="contradicting-options",
            )
        if made.pooled([]) is None:
            raise Unsupported(
                f"--pool takes the mean of numbers and pixels and the most frequent category, and this model makes "
                f"{self.pipeline.spec.make!r} of {made.space}: leave --pool out",
                code="cannot-pool",
            )

    def _check_maker(self) -> None:
        if self.pool and self.maker is not None:
            raise RecipeError(
                "--pool makes one answer of several draws, and --drop, --best-of and --require choose among single "
                "ones: leave them or --pool out",
                code="contradicting-options",
            )

    # -- files ---------------------------------------------------------------------------------

    def total(self, paths: Sequence[Path]) -> int:
        """About how many examples files and folders hold, as they are read, without reading them."""
        codec, found = self.pipeline.codec, 0
        for path in paths:
            with suppress(DataError):  # which `of` names
                found += codec.wholes(find(path, self.pipeline.kind))
        return found

    def of(self, paths: Sequence[Path]) -> Iterator[Samples | Left]:
        """What is made of files and folders, as it is made, and what was left out. Raises `DataError` where it was
        everything, as for the first of them."""
        self._check_maker()
        return self._checked(self._each(paths), ", ".join(map(str, paths)))

    def _checked(
        self, parts: Iterator[Samples | Left | DataError], source: str
    ) -> Iterator[Samples | Left]:
        """The same parts; raises `DataError` at the end where there is nothing but what was left out."""
        made, first = False, None
        for one in parts:
            if isinstance(one, DataError):
                first = first or one
                continue
            made = made or not isinstance(one, Rejected)
            if isinstance(one, Rejected) and first is None:
                what = f"nothing to read in {source}"
                first = DataError(f"{what} ({one.name}: {one.reason})", code="nothing-to-read")
            yield one
            del one  # which may be large
        if not made and first is not None and not self.stop():
            raise first

    def of_text(self, stream: IO[bytes]) -> Iterator[Samples | Left]:
        """What is made of a text that a stream holds, under the name `stdin`. Raises `Unsupported` where none is
        taken, which is before the stream is read, and `DataError` for one that is empty or not in UTF-8."""
        if "text" not in self.field.views:
            kind = self.pipeline.kind
            raise Unsupported(
                f"this model makes {self.pipeline.spec.make!r} from {self.reads!r}, which is no text that standard "
                f"input could hold: name {kind} files instead of -",
                code="takes-no-text",
            )
        try:
            text = stream.read().decode("utf-8-sig").strip()
        except UnicodeError:
            raise DataError(
                "standard input is no text in UTF-8: name a file instead of -", code="input-not-utf8"
            ) from None
        if not text:
            raise DataError(
                "standard input holds no text: pipe one in, as in echo TEXT | genwright apply RUN -",
                code="empty-input",
            )
        self._check_maker()
        return self._checked(chain(self._one(text, "stdin"), self._flush()), "standard input")

    def _each(self, paths: Sequence[Path]) -> Iterator[Samples | Left | DataError]:
        for path in paths:
            try:
                for one in self._tables(path) if self.pipeline.codec.rewrites else self._files(path):
                    yield one
                    del one  # which may be large
                    if self.stop():
                        return
            except DataError as error:
                yield error
                if len(paths) > 1:
                    yield Rejected(str(path), str(error))
        if not self.stop():
            yield from self._flush()

    def _files(self, path: Path) -> Iterator[Samples | Left]:
        for rows in self.pipeline.read([path], [self.reads], self.most):
            self._place += len(rows.rejected)
            self._through(len(rows.rejected))
            self.notes += [note for note in rows.notes if note not in self.notes]
            yield from rows.rejected
            names = rows.names or [f"{len(self._names) + i:05d}" for i in range(len(rows))]
            for i, name in enumerate(names):
                if self.stop():
                    return
                yield from self._one(self.field.take(rows.values[self.reads], [i])[0], self._free(name))

    def _free(self, name: str) -> str:
        """The name, with a number behind it from the second of its kind on: of files of one name from two folders."""
        free, number = name, 1
        while free in self._names:
            number += 1
            free = f"{name}-{number}"
        self._names[free] = None
        return free

    def _one(self, value: Any, name: str) -> Iterator[Samples | Left]:
        """A value that is a file: those of one size are made together."""
        try:
            if self.taken(name):
                raise DataError(
                    "there is a file of that name already, which is not overwritten", code="file-exists"
                )
            if self.mask is not None:
                value = self.field.masked(value, self._mask(name))
            if self._large(value):
                yield from self._flush()
                yield from self._tiled(value, name)
                return
            self._encoded([value])
        except DataError as error:
            self._place += 1
            self._through(1)
            yield Rejected(name, str(error))
            return
        self._waiting.append((value, name))
        if len(self._waiting) == self._chunk:
            yield from self._flush()

    def _mask(self, name: str) -> Path:
        """The mask of a file. Raises `DataError` where there is none."""
        assert self.mask is not None
        if not self.mask.exists():
            raise DataError(
                f"there is no mask at {self.mask}: name a picture, or a folder of them", code="no-mask"
            )
        if not self.mask.is_dir():
            return self.mask
        found = sorted(self.mask.joinpath(name).parent.glob(f"{Path(name).name}.*"))
        if not found:
            raise DataError(f"there is no mask {name} in {self.mask}", code="no-mask")
        return found[0]

    @property
    def _chunk(self) -> int:
        return int(self.options.get("chunk") or generative(self.model.family).chunk)

    def _large(self, value: Any) -> bool:
        """Whether it is made window by window, since it has another size than what the model was trained on."""
        if not (self.pipeline.spec.local and self.ask.space.grid and not self.field.stream):
            return False
        return bool(self.field.grid_of(value) != self.ask.space.grid)

    def _flush(self) -> Iterator[Samples | Left]:
        """What is made of the values that wait."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            values, names = [value for value, _ in waiting], [name for _, name in waiting]
            yield from self.of_values(values, names)
            self._place += len(waiting)
            self._made_before += len(waiting)
            self._through(len(waiting))

    def _through(self, more: int, part: float = 0.0) -> None:
        """So many more examples are through, and of the next one a part."""
        self._done += more
        if self.report is not None:
            self.report(self._done + part)

    def _encoded(self, values: Values) -> tuple[Partial | Tensor, list[str]]:
        if not self.ask.partial:
            return self.field.tensor(values), []
        return self.field.gapped(values)

    # -- values --------------------------------------------------------------------------------

    def of_values(
        self,
        values: Values,
        names: Sequence[str],
        labels: Mapping[str, Values] | None = None,
        *,
        place: int | None = None,
    ) -> Iterator[Samples | Left]:
        """What is made of some values that are read, for each draw.

        labels  what else is given, `n` values each
        place   of the first among all (None: behind those that came before)
        """
        n = len(names)
        place = self._made_before if place is None else place
        encoded, notes = self._encoded(values)
        one = self.pool or (self.ask.partial and self.pipeline.made.draws > 1)
        if self._rule is not None or (one and self.many > 1 and isinstance(values, list)):
            samples = self._pooled(values, encoded, n, labels or {}, place)
            if samples is not None:
                samples.names, samples.notes = list(names), [*notes, *samples.notes]
                yield samples
                return
        for draw in range(self.many):
            seed = self._seed(place, draw)
            asked = self._asked(values, encoded, n, labels or {}, seed)
            asked.notes = [*notes, *asked.notes]
            called = [self._called(name, range(draw, draw + 1)) for name in names]
            yield from self._made(n, asked, seed, called)

    def of_made(
        self, values: Values, labels: Mapping[str, Values], place: int
    ) -> Iterator[Samples | Left]:
        """What is made of values of one size that another model made, each by its number.

        labels, place  as of `of_values`
        """
        names = [str(place + i) for i in range(len(values))]
        if not isinstance(values, list) or not self._large(values[0]):
            yield from self.of_values(values, names, labels, place=place)
            return
        for value, name in zip(values, names, strict=True):
            yield from self._tiled(value, name)

    # -- several answers as one, and without the model ------------------------------------------

    def _chosen_rule(self) -> Rule | None:
        """What answers in place of the model, where a person says so; where nobody does and the judge found it better,
        a note says that. Raises `RecipeError` for an unknown one."""
        rules = self.pipeline.made.rules()
        name = self.options.pop("baseline", None)
        if name is None:
            self.notes += [
                f"{name} was nearer to the right answers than this model when it was judged: --set baseline={name} "
                f"answers as it does"
                for name in self.model.judged_better()
                if name in rules
            ]
            return None
        if name not in rules:
            way = (
                suggest(str(name), rules)
                if rules
                else "this model is held against none that could answer"
            )
            raise RecipeError(f"there is no baseline {name!r} here; {way}", code="no-such-baseline")
        return rules[name]

    def _pooled(
        self, values: Values, encoded: Partial | Tensor, n: int, labels: Mapping[str, Values], place: int
    ) -> Samples | None:
        """What is made of some values, all draws as one answer each; None where each is for itself."""
        made, drawn = self.pipeline.made, list[Values]()
        asked = self._asked(values, encoded, n, labels, self._seed(place, 0))
        others: dict[str, Values] = {}
        if self._rule is not None:
            assert isinstance(encoded, Partial)
            answers = self._rule(encoded.x.numpy(), encoded.known.numpy(), self.many)
            for one in answers:
                stored = torch.where(encoded.known, encoded.x, torch.from_numpy(one))
                drawn.append(self.pipeline.decoded(stored, asked)[self.pipeline.spec.make])
        elif made.pooled([]) is None:
            return None
        else:
            maker = self.maker or self.model.drawn_values
            for draw in range(self.many):
                seed = self._seed(place, draw)
                one = self._asked(values, encoded, n, labels, seed)
                others, places = maker(n, one, seed, dict(self.options))
                if len(places) == n:
                    drawn.append(others[self.pipeline.spec.make])
        if not drawn:
            return None
        pooled = made.pooled(drawn, () if self._rule is not None else values)
        answer = {self.pipeline.spec.make: drawn[len(drawn) // 2] if pooled is None else pooled}
        samples = self.model.answer({**others, **answer}, asked, self.seed)
        samples.provenance = self._provenance(range(self.many if self.pool else 1))
        return samples

    def _rounds(self) -> list[range]:
        """The draws that one answer is made of, for each answer."""
        return [range(self.many)] if self.pool else [range(k, k + 1) for k in range(self.many)]

    def _called(self, name: str, draws: range) -> str:
        """The name of what these draws become, numbered where there are others."""
        return name if len(draws) == self.many else f"{name}-{draws.start + 1}"

    def _provenance(self, draws: range) -> Provenance | None:
        made = self.model.provenance(self.seed)
        return replace(made, pooled=len(draws)) if made is not None and len(draws) > 1 else made

    def _seed(self, place: int, draw: int) -> int:
        seed = chunk_seed(self.seed, -draw) if draw else self.seed
        return chunk_seed(seed, place) if place else seed

    def _asked(
        self,
        values: Values,
        encoded: Partial | Tensor,
        n: int,
        labels: Mapping[str, Values],
        seed: int,
    ) -> Asked:
        x: Tensor | tuple[Tensor, Tensor] = (
            (encoded.x, encoded.known) if isinstance(encoded, Partial) else encoded
        )
        known: dict[str, Tensor | tuple[Tensor, Tensor]] = {self.name: x}
        for name in self.pipeline.spec.asks:  # what else is read off the same values
            field = self.pipeline.asker(name)
            if (
                field.derived
                and field.frame == self.field.frame
                and name not in self.given
                and len(values)
            ):
                known[name] = field.tensor(values)
        asked = self.model.request(n, {**labels, **self.given}, seed, known)
        asked.notes += self.model.rare(asked, list(self.given))
        asked.notes += self.pipeline.cautions(self.name, values) if isinstance(values, list) else []
        if self.ask.partial and not isinstance(
            values, list
        ):  # rows of a file, of which all that is there is kept
            asked.gaps, asked.imputed = values, True
        elif isinstance(encoded, Partial):
            asked.length = encoded.length
            asked.gaps = values or None
        return asked

    def _made(self, n: int, asked: Asked, seed: int, names: Sequence[str]) -> Iterator[Samples | Left]:
        maker = self.maker or self.model.drawn_values
        values, places = maker(n, asked, seed, dict(self.options))
        if places:
            samples = self.model.answer(values, self.pipeline.chosen(asked, places), self.seed)
            samples.names = [names[i] for i in places]
            yield samples
        for i in sorted({*range(n)} - {*places}):
            yield Rejected(names[i], "nothing that was made of it passed")

    # -- of any size ---------------------------------------------------------------------------

    def _tiled(self, value: Any, name: str) -> Iterator[Samples | Left]:
        """One example of a value of any size, by overlapping windows of the grid that was trained on."""
        if self.maker is not None:
            self._place += 1
            self._through(1)
            yield Rejected(name, self._other_size(value))
            return
        try:
            if self.ask.partial:
                self.field.check_gaps(value)
            for draws in self._rounds():
                # Not kept here under a name: of a large picture there is room for one.
                yield from self._whole(value, name, draws)
        except DataError as error:
            yield Rejected(name, str(error))
        if self.stop():
            return
        self._place += 1
        self._through(1)

    def _whole(self, value: Any, name: str, draws: range) -> Iterator[Samples]:
        """What is made of a value, of several draws as one, unless it is stopped on its way."""
        spec, several = self.pipeline.spec, len(draws) > 1
        wholes = self._wholes(value, draws)
        found = self.pipeline.made.pooled(wholes, [value]) if several else next(wholes, None)
        if found and not (several and self.stop()):
            samples = self.model.samples({spec.make: found})
            samples.sources = [value] if self.ask.field == spec.make else None
            samples.provenance = self._provenance(draws)
            samples.names = [self._called(name, draws)]
            yield samples

    def _wholes(self, value: Any, draws: range) -> Iterator[list[Any]]:
        """Of each draw, until it is stopped, what is made of a value."""
        for draw in draws:
            through = partial(self._part_through, draw)
            whole = self._windows.whole(value, self._seed(self._place, draw), through)
            if self.pipeline.made.grid_of(whole)[0] != self._windows.size(value)[0]:
                return
            yield [whole]
            del whole  # before the next one is made

    def _part_through(self, draw: int, part: float) -> None:
        self._through(0, (draw + part) / self.many)

    def _stopped(self) -> bool:
        return self.stop()  # which is set later

    def _of_windows(self, encoded: Partial | Tensor, n: int, seed: int) -> Asked:
        return self._asked([], encoded, n, self._one_label(n), seed)

    def _one_label(self, n: int) -> dict[str, Values]:
        """What is drawn for the example, the same in all of its windows."""
        if not self.model.task.paired:
            return {}
        drawn = self.model.drawn(1, {self.name, *self.given}, self.seed)
        return {
            name: some * n
            for name, some in self.pipeline.raw(drawn).items()
            if name in self.pipeline.scalars
        }

    def _other_size(self, value: Any) -> str:
        sizes = (" x ".join(map(str, grid)) for grid in (self.field.grid_of(value), self.ask.space.grid))
        return "is {} and is made window by window, of which none can be chosen: give one of {}".format(
            *sizes
        )

    # -- rows of a file ------------------------------------------------------------------------

    def _tables(self, path: Path) -> Iterator[Samples | Left]:
        """Each file that is found, some rows at a time."""
        if path.is_file() and not self.pipeline.codec.own([path]):
            raise DataError(
                f"{path} is no {self.pipeline.kind} data: this model reads {self.pipeline.codec.suffixes()}",
                code="wrong-kind-of-file",
            )
        source = find(path, self.pipeline.kind)
        self.notes += source.passed_over()
        for file in source.files:
            name = file.relative_to(source.root).as_posix() if source.root.is_dir() else file.name
            stem = self._free(
                name.removesuffix(suffix(file)) if name.endswith(suffix(file)) else Path(name).stem
            )
            if self.taken(stem):
                yield Rejected(stem, "there is a file of that name already, which is not overwritten")
                continue
            try:
                for draws in self._rounds():
                    yield from self._table(file, self._called(stem, draws), draws)
            except DataError as error:
                if len(source.files) == 1:
                    raise
                yield Rejected(name, str(error))
            self._place += 1

    def _table(self, file: Path, name: str, draws: range) -> Iterator[Samples | Left]:
        """One table of these draws."""
        labels = [name for name in self.pipeline.scalars if name not in self.given]
        first = 0
        for rows in self.pipeline.read([file], [self.reads, *labels]):
            if not draws.start:
                yield from rows.rejected
            for start in range(0, len(rows), ROWS):
                if self.stop():
                    return
                some = rows.take(self.pipeline.fields, range(start, min(start + ROWS, len(rows))))
                filled = self._filled(some, file, name, first, draws, rows.notes)
                if filled is None:
                    return
                yield filled
                first += len(some)
                if draws.stop == self.many:
                    self._through(len(some))

    def _filled(
        self, rows: Rows, file: Path, name: str, first: int, draws: range, notes: Sequence[str]
    ) -> Samples | None:
        """Rows behind the `first` ones with their gaps filled, of several draws as one; None where that was stopped
        on its way."""
        frame = rows.values[self.reads].reset_index(drop=True)
        encoded, odd = self._encoded(frame)
        answers = self._row_answers(rows, frame, encoded, first, draws)
        values, asked, further = next(answers)
        if len(draws) > 1:
            others = (values[self.reads] for values, _, _ in answers)
            whole = self.pipeline.made.pooled(chain([values[self.reads]], others), frame)
            if whole is None or self.stop():
                return None
            labels = {one: whole[one].tolist() for one in values if one in whole}
            values = {**values, **labels, self.reads: whole}
            further += self._still_missing(whole)
        samples = self.model.answer(values, asked, self.seed)
        absent = [c for c in map(str, values[self.reads].columns) if c not in frame.columns]
        lacks = [
            f"{file.name} has no column {c!r}: it is made, and stands behind the others" for c in absent
        ]
        samples.notes = [*notes, *odd, *further, *lacks, *asked.notes]
        samples.names, samples.file = [name] * len(rows), file
        samples.provenance = self._provenance(draws)
        return samples

    def _row_answers(
        self, rows: Rows, frame: Values, encoded: Partial | Tensor, first: int, draws: range
    ) -> Iterator[tuple[dict[str, Values], Asked, list[str]]]:
        """Of each draw, until it is stopped, what is made of the rows, what was asked for, and notes."""
        maker, n = self.maker or self.model.drawn_values, len(rows)
        for draw in draws:
            if draw > draws.start and self.stop():
                return
            seed = self._seed(self._place, draw)
            seed = chunk_seed(seed, first) if first else seed
            labels, further = self._labels(rows.values, n, seed)
            asked = self._asked(frame, encoded, n, labels, seed)
            asked.first, before = first, [*asked.notes]
            values, places = maker(n, asked, seed, dict(self.options))
            if len(places) < n:  # a row stays in its place, with the gaps that it had
                values = self._with_gaps(values, places, asked)
            if len(draws) > 1:
                asked.notes = before  # what one draw leaves missing, another may fill
                self._through(0, n * (draw + 1 - draws.start) / len(draws))
            yield values, asked, further

    def _still_missing(self, frame: Values) -> list[str]:
        cells = [frame[name].tolist() for name in self.pipeline.made.parts]
        left = sum(any(map(is_missing, row)) for row in zip(*cells, strict=True))
        said = f"{left:,} rows keep a gap: every draw says that what belongs there is missing"
        return [said] if left else []

    def _with_gaps(
        self, values: dict[str, Values], places: Sequence[int], asked: Asked
    ) -> dict[str, Values]:
        assert asked.gaps is not None
        frame = asked.gaps.astype(object)
        for row, place in enumerate(places):
            for column in values[self.reads].columns:
                frame.loc[place, column] = values[self.reads][column].iloc[row]
        asked.notes.append(
            f"{len(asked.gaps) - len(places):,} rows stay as they are: nothing that was made passed"
        )
        others = {k: v for k, v in asked.values.items() if k in self.pipeline.scalars}
        return {self.reads: frame.where(frame.notna(), None), **others}

    def _labels(
        self, values: Mapping[str, Values], n: int, seed: int
    ) -> tuple[dict[str, Values], list[str]]:
        """What the rows of a file say of the columns that are given; drawn where they say nothing that is known."""
        there = [name for name in self.pipeline.scalars if name in values]
        drawn = self.pipeline.raw(self.model.drawn(n, {self.name, *self.given}, seed))
        found, notes = dict[str, Values](), list[str]()
        for name in there:
            known = self.pipeline.scalars[name].usable(values[name])
            if not all(known) and name not in drawn:
                row = known.index(False) + 1
                raise DataError(
                    f"{name!r} is given in this run, and row {row} has no value of it that training has seen: "
                    f"fill it in, or leave the row out",
                    code="no-such-value",
                )
            found[name] = [
                value if ok else drawn[name][i]
                for i, (value, ok) in enumerate(zip(values[name], known, strict=True))
            ]
            if wrong := known.count(False):
                notes.append(
                    f"{name!r} is given in this run: in {wrong:,} rows it is missing or new, and was drawn"
                )
        return found, notes
