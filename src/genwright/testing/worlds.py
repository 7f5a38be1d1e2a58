"""Distributions to draw from whose every fault is known: what metrics are held to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from genwright.data.field import Array
from genwright.data.image.codec import ImageCodec
from genwright.data.image.field import ImageField
from genwright.data.level.codec import LevelCodec
from genwright.data.level.field import LevelField, LevelForm
from genwright.data.level.files import Level
from genwright.data.level.legend import Legend
from genwright.data.molecule.chemistry import canonical, descriptor
from genwright.data.molecule.codec import MoleculeCodec
from genwright.data.molecule.field import MoleculeField
from genwright.data.music.codec import MusicCodec
from genwright.data.music.field import MusicField
from genwright.data.music.piece import PITCH, SIZE, Piece
from genwright.data.music.theory import estimated_key, pitch_classes
from genwright.data.series.codec import SeriesCodec
from genwright.data.series.field import SeriesField
from genwright.data.series.form import SeriesForm
from genwright.data.series.series import Series
from genwright.evaluation.evidence import Evidence, Sample
from genwright.space import Real, Space, Symbol
from genwright.testing.examples import sample_of

if TYPE_CHECKING:
    import pandas as pd

    from genwright.data.table.field import RowField

__all__ = ["CENTRES", "WORLDS", "NumberWorld", "PictureWorld", "TableWorld", "TextWorld", "World"]


class World(ABC):
    """A distribution, and its faults. Raw examples are whatever a subclass makes of them."""

    view: ClassVar[str] = "features"
    """What its examples offer, beside features and flat numbers."""
    n: ClassVar[int] = 1000
    """Examples of a set."""

    @abstractmethod
    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> Any:
        """Real examples of ten modes; `but` one of them; with a `new` one for a fifth of the examples."""

    @abstractmethod
    def noisy(self, raw: Any, level: float, seed: int) -> Any: ...

    @abstractmethod
    def trivial(self, raw: Any, seed: int) -> Any:
        """Every number by itself."""

    @abstractmethod
    def join(self, a: Any, b: Any) -> Any: ...

    @abstractmethod
    def take(self, raw: Any, index: Array) -> Any: ...

    @abstractmethod
    def sample(self, raw: Any) -> Sample: ...

    def ignoring(self, raw: Any, seed: int) -> Any | None:
        """The examples with the conditions of others; None where there are no conditions."""
        return None

    def collapsed(self, raw: Any) -> Any:
        """Three examples, over and over."""
        return self.take(raw, np.arange(self.n) % 3)

    def tame(self, raw: Any) -> dict[str, Any]:
        """Nothing is copied here, though less is dared than real examples do."""
        return {"three examples over and over": self.collapsed(raw)}

    def copying(self, share: float, seed: int) -> Any:
        """Real examples, of which a share are training examples."""
        copies = max(1, round(share * self.n))
        train = self.draw(2 * self.n, 1)
        index = np.random.default_rng(seed).permutation(2 * self.n)[:copies]
        fresh = self.take(self.draw(self.n, seed), np.arange(self.n - copies))
        return self.join(self.take(train, index), fresh)

    @cache  # noqa: B019 - there are few worlds, and few seeds that are asked for again
    def real(self, seed: int) -> Sample:
        """A set of real examples."""
        return self.sample(self.draw(self.n, seed))

    @cache  # noqa: B019 - there are few worlds
    def question(self) -> Evidence:
        """Whose `fake` are real: the floor."""
        train, test, reference, fake = (
            self.sample(self.draw(n, seed))
            for n, seed in ((2 * self.n, 1), (self.n, 2), (self.n, 3), (self.n, 4))
        )
        return Evidence(self.space(), "known", train, test, fake, reference)

    def offering(self, made: Sample) -> Sample:
        """The sample with this world's view."""
        return replace(made, views=made.views | {self.view})

    def space(self) -> Space:
        return Space((), (Real(2),))


CENTRES = 5 * np.random.default_rng(99).normal(size=(11, 6))


def _modes(n: int, rng: np.random.Generator, but: bool, new: bool) -> Array:
    which = rng.integers(9 if but else 10, size=n)
    return np.where(rng.random(n) < 0.2, 10, which) if new else which


class NumberWorld(World):
    """Ten normals in six dimensions, each with its label; what is seen are the numbers themselves."""

    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> Any:
        rng = np.random.default_rng(seed)
        which = _modes(n, rng, but, new)
        return CENTRES[which] + rng.normal(size=(n, 6)), which.astype(str)

    def noisy(self, raw: Any, level: float, seed: int) -> Any:
        return raw[0] + 6 * level * np.random.default_rng(seed).normal(size=raw[0].shape), raw[1]

    def tame(self, raw: Any) -> dict[str, Any]:
        centres = CENTRES[raw[1].astype(int)]
        return super().tame(raw) | {"examples near the centres": ((raw[0] + centres) / 2, raw[1])}

    def trivial(self, raw: Any, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        return np.column_stack([rng.permutation(column) for column in raw[0].T]), rng.permutation(raw[1])

    def ignoring(self, raw: Any, seed: int) -> Any:
        return raw[0], np.random.default_rng(seed).permutation(raw[1])

    def join(self, a: Any, b: Any) -> Any:
        return tuple(np.concatenate(parts) for parts in zip(a, b, strict=True))

    def take(self, raw: Any, index: Array) -> Any:
        return raw[0][index], raw[1][index]

    def sample(self, raw: Any) -> Sample:
        return sample_of(raw[0], raw[1].tolist())


class TableWorld(World):
    """Columns that hang together: numbers, categories, a sum, an order, a label that can be predicted."""

    view = "row"
    TOWNS = ("Ulm", "Bonn", "Kiel", "Trier", "Jena", "Mainz", "Hof", "Celle", "Suhl", "Olpe", "Rom")

    VALUES: ClassVar[dict[str, Sequence[Any]]] = {
        "children": range(4),
        "town": TOWNS[:10],
        "class": ("good", "bad"),
    }

    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> pd.DataFrame:
        import pandas as pd

        rng = np.random.default_rng(seed)
        which = _modes(n, rng, but, new)
        x = CENTRES[which, 0] / 5 + 0.3 * rng.normal(size=n)
        rent = np.round(500 + 80 * x + 20 * rng.normal(size=n), 1)
        food = np.round(200 + 50 * CENTRES[which, 1] / 5 + 20 * rng.normal(size=n), 1)
        return pd.DataFrame(
            {
                "rent": rent,
                "food": food,
                "costs": np.round(rent + food, 1),
                "income": np.round(rent + food + rng.exponential(300, n), 1),
                "children": rng.poisson(np.exp(0.4 * x)),
                "town": np.array(self.TOWNS)[which],
                "class": np.where(x + (food - 200) / 60 + 0.5 * rng.normal(size=n) > 0, "good", "bad"),
            }
        )

    def noisy(self, raw: pd.DataFrame, level: float, seed: int) -> pd.DataFrame:
        """A share of the cells moved, or another category."""
        rng, made = np.random.default_rng(seed), raw.copy()
        for name in raw:
            if name in self.VALUES:
                other = rng.choice(self.VALUES[name], len(raw))
            else:
                other = np.round(raw[name] + 0.5 * raw[name].std() * rng.normal(size=len(raw)), 1)
            made[name] = np.where(rng.random(len(raw)) < level, other, raw[name])
        return made

    def trivial(self, raw: pd.DataFrame, seed: int) -> pd.DataFrame:
        import pandas as pd

        rng = np.random.default_rng(seed)
        return pd.DataFrame({name: rng.permutation(raw[name].to_numpy()) for name in raw})

    def join(self, a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        return pd.concat([a, b], ignore_index=True)

    def take(self, raw: pd.DataFrame, index: Array) -> pd.DataFrame:
        return raw.iloc[index].reset_index(drop=True)

    @cache  # noqa: B019
    def field(self) -> RowField:
        """Fitted on the training rows."""
        from genwright.data.table.field import RowField
        from genwright.data.table.frames import TableFormat

        frame = self.draw(2 * self.n, 1).astype(str)
        field = RowField(TableFormat(".csv", tuple(frame.columns)))
        field.fit(frame)
        field.settle()
        return field

    def sample(self, raw: pd.DataFrame) -> Sample:
        from genwright.data.table.codec import TableCodec

        texts = raw.astype(str)
        numbers = np.column_stack(
            [
                raw[["rent", "food", "costs", "income", "children"]].to_numpy(float) / 100,
                *[(raw["town"] == town).to_numpy(float) for town in self.TOWNS],
                (raw["class"] == "good").to_numpy(float),
            ]
        )
        made = sample_of(numbers, raw["class"].tolist())
        keys = tuple("|".join(row) for row in texts.itertuples(index=False))
        given = {"class": list(raw["class"])}
        return self.offering(
            replace(made, raw=texts, codec=TableCodec(), field=self.field(), given=given, keys=keys)
        )

    def space(self) -> Space:
        return self.field().space


class ArrayWorld(World):
    """Examples `(n, 1, *grid)` in [-1, 1], taken as a metric reads them."""

    n = 300

    def noisy(self, raw: Array, level: float, seed: int) -> Array:
        return np.clip(raw + level * np.random.default_rng(seed).normal(size=raw.shape), -1, 1)

    def trivial(self, raw: Array, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        rows = raw.reshape(len(raw), -1)
        return np.column_stack([rng.permutation(column) for column in rows.T]).reshape(raw.shape)

    def join(self, a: Array, b: Array) -> Array:
        return np.concatenate([a, b])

    def take(self, raw: Array, index: Array) -> Array:
        return np.asarray(raw[index])

    def sample(self, raw: Array) -> Sample:
        return self.offering(replace(sample_of(raw.reshape(len(raw), -1)), x=raw.astype(np.float32)))


class PictureWorld(ArrayWorld):
    """A blob in one of ten places, of 8 x 8 pixels."""

    view = "pixels"
    PLACES = np.random.default_rng(5).uniform(1, 6, (11, 2))

    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> Array:
        rng = np.random.default_rng(seed)
        at = self.PLACES[_modes(n, rng, but, new)] + 0.3 * rng.normal(size=(n, 2))
        y, x = np.mgrid[:8, :8]
        far = (y - at[:, :1, None]) ** 2 + (x - at[:, 1:, None]) ** 2
        light = rng.uniform(0.8, 1.2, (n, 1, 1))
        return np.asarray(np.clip(2 * light * np.exp(-far / 2) - 1, -1, 1)[:, None])

    def space(self) -> Space:
        return Space((8, 8), (Real(1, bounded=True),))


class SoundWorld(ArrayWorld):
    """A tone of one of ten pitches that dies away, of 128 samples."""

    view = "waveform"
    PITCHES = 2 + 5 * np.random.default_rng(6).permutation(11)

    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> Array:
        rng = np.random.default_rng(seed)
        pitch = self.PITCHES[_modes(n, rng, but, new)] + 0.3 * rng.normal(size=n)
        t = np.arange(128) / 128
        loud = rng.uniform(0.5, 0.9, (n, 1)) * np.exp(-2 * t)
        return np.asarray((loud * np.sin(2 * np.pi * pitch[:, None] * t))[:, None])

    def space(self) -> Space:
        return Space((128,), (Real(1, bounded=True),))


class TextWorld(World):
    """Words in chains with few ways to go on; each of ten kinds of text has words of its own. What is seen
    are counts of letters."""

    view = "text"
    n = 300
    LETTERS = "abcdefghijklmnopqrstuvwxyz "
    WORDS: ClassVar[tuple[int, int]] = (25, 50)
    """The fewest of a text, and one more than the most."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        letters = list(self.LETTERS[:-1])
        self.words = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(110)]
        self.odds = rng.dirichlet(np.full(10, 0.2), size=110).cumsum(1)

    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> list[str]:
        rng = np.random.default_rng(seed)
        return [self._text(kind, rng) for kind in _modes(n, rng, but, new).tolist()]

    def _text(self, kind: int, rng: np.random.Generator) -> str:
        at, text = 10 * kind + int(rng.integers(10)), []
        for u in rng.random(rng.integers(*self.WORDS)):
            at = 10 * kind + min(int(np.searchsorted(self.odds[at], u)), 9)
            text.append(self.words[at])
        return " ".join(text)

    def noisy(self, raw: list[str], level: float, seed: int) -> list[str]:
        """Wrong letters, and words left out."""
        rng = np.random.default_rng(seed)
        made = []
        for text in raw:
            kept = [word for word in text.split() if rng.random() >= level / 2]
            letters = np.array(list(" ".join(kept)))
            wrong = rng.random(len(letters)) < level / 2
            letters[wrong] = rng.choice(list(self.LETTERS), int(wrong.sum()))
            made.append("".join(letters))
        return made

    def trivial(self, raw: list[str], seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        pool = np.array(list("".join(raw)))
        return ["".join(rng.choice(pool, len(raw[i]) // 2)) for i in range(len(raw))]

    def collapsed(self, raw: list[str]) -> list[str]:
        """And each of them running in a circle."""
        return [" ".join(2 * text.split()[: len(text.split()) // 2]) for text in super().collapsed(raw)]

    def join(self, a: list[str], b: list[str]) -> list[str]:
        return a + b

    def take(self, raw: list[str], index: Array) -> list[str]:
        return [raw[i] for i in index.tolist()]

    def sample(self, raw: list[str]) -> Sample:
        counts = np.array([[text.count(letter) for letter in self.LETTERS] for text in raw], np.float64)
        made = sample_of(counts.reshape(len(raw), len(self.LETTERS)))
        return self.offering(
            replace(made, raw=raw, codec=ImageCodec(), field=ImageField(), keys=tuple(raw))
        )


class ManyTextsWorld(TextWorld):
    """As many as MAUVE asks for."""

    n = 1000


class LevelWorld(ArrayWorld):
    """Platforms of eight rows and twelve columns: ground with a gap at one of ten places that a jump crosses, and a
    ledge above it, whose length is asked for. Raw examples are 96 numbers of tiles and that length `(n, 97)`."""

    view = "level"
    n = 300
    GRID = (8, 12)
    TILES = ("-", "X", "=")
    GAPS: ClassVar[Sequence[tuple[int, int]]] = [
        *((at, height) for height in (3, 5) for at in (1, 2, 3, 4, 5)),
        (6, 4),
    ]

    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> Array:
        rng = np.random.default_rng(seed)
        made = np.zeros((n, *self.GRID), np.int64)
        made[:, 6:] = 1
        for one, kind in zip(made, _modes(n, rng, but, new).tolist(), strict=True):
            at, height = self.GAPS[kind]
            one[6:, at : at + int(rng.integers(1, 4))] = 0
            left = int(rng.integers(6, 9))
            one[height, left : left + int(rng.integers(1, 4))] = 2
        asked = (made == 2).sum((1, 2))[:, None]
        return np.concatenate([made.reshape(n, -1), asked], axis=1)

    def noisy(self, raw: Array, level: float, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        made = np.where(rng.random(raw.shape) < level, rng.integers(3, size=raw.shape), raw)
        return self._with(made[:, :-1], raw[:, -1])

    def trivial(self, raw: Array, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        return self._with(rng.permuted(raw[:, :-1].ravel()).reshape(len(raw), -1), raw[:, -1])

    def ignoring(self, raw: Array, seed: int) -> Array:
        return self._with(raw[:, :-1], np.random.default_rng(seed).permutation(raw[:, -1]))

    @staticmethod
    def _with(tiles: Array, asked: Array) -> Array:
        return np.concatenate([tiles, asked[:, None]], axis=1)

    def sample(self, raw: Array) -> Sample:
        tiles = raw[:, :-1].reshape(len(raw), *self.GRID)
        levels = [Level(np.array(self.TILES)[one]) for one in tiles]
        return self.offering(
            replace(
                sample_of(raw[:, :-1].astype(np.float64)),
                x=tiles[:, None],
                raw=levels,
                codec=LevelCodec(),
                field=self.field(),
                given={"=": raw[:, -1].tolist()},
                keys=tuple(one.digest for one in levels),
            )
        )

    def field(self) -> LevelField:
        legend = Legend({"X": ("solid",), "=": ("solid",), "-": ("empty",)})
        made = LevelField(LevelForm(*self.GRID, legend=legend))
        made.fit([Level(np.array([self.TILES]))])
        made.settle()
        return made

    def space(self) -> Space:
        return Space(self.GRID, (Symbol(3),))


class MoleculeWorld(World):
    """A ring of one of ten kinds between two chains; how many atoms it has is asked for. Raw examples are texts of a
    SMILES and that number."""

    view = "molecule"
    n = 300
    RINGS = (
        *("c1ccc({})cc1", "C1CCN({})CC1", "c1cnc({})nc1", "C1CCC({})C1", "c1cc({})co1", "c1cc({})cs1"),
        *("c1ccc2cc({})ccc2c1", "C1CC({})C1", "c1c[nH]c({})c1", "C1CN({})CCO1", "C1CC({})OC1"),
    )
    UNITS = ("C", "C", "CO", "CN", "C(C)", "C(F)", "CS", "C(=O)")
    LETTERS = "CNOSFcnos123()=#[]"

    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> list[tuple[str, int]]:
        rng = np.random.default_rng(seed)
        made = []
        for kind in _modes(n, rng, but, new).tolist():
            chains = ["".join(rng.choice(self.UNITS, int(rng.integers(1, 6)))) for _ in range(2)]
            smiles = str(canonical(chains[0] + self.RINGS[kind].format(chains[1])))
            made.append((smiles, int(descriptor(smiles, "atoms"))))
        return made

    def noisy(self, raw: list[tuple[str, int]], level: float, seed: int) -> list[tuple[str, int]]:
        """A share of them with wrong letters, few of which are still molecules."""
        rng = np.random.default_rng(seed)
        made = []
        for smiles, atoms in raw:
            letters = np.array(list(smiles))
            if rng.random() < 0.8 * level:
                letters[rng.integers(len(letters), size=3)] = rng.choice(list(self.LETTERS), 3)
            text = "".join(letters)
            made.append((canonical(text) or text, atoms))
        return made

    def trivial(self, raw: list[tuple[str, int]], seed: int) -> list[tuple[str, int]]:
        """Chains of atoms."""
        rng = np.random.default_rng(seed)
        made = ("".join(rng.choice(list("CCCNO"), len(smiles) // 2 + 1)) for smiles, _ in raw)
        return [(str(canonical(text)), atoms) for text, (_, atoms) in zip(made, raw, strict=True)]

    def ignoring(self, raw: list[tuple[str, int]], seed: int) -> list[tuple[str, int]]:
        order = np.random.default_rng(seed).permutation(len(raw)).tolist()
        return [(smiles, raw[i][1]) for (smiles, _), i in zip(raw, order, strict=True)]

    def join(self, a: list[tuple[str, int]], b: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return a + b

    def take(self, raw: list[tuple[str, int]], index: Array) -> list[tuple[str, int]]:
        return [raw[i] for i in index.tolist()]

    def sample(self, raw: list[tuple[str, int]]) -> Sample:
        texts = [smiles for smiles, _ in raw]
        counts = np.array(
            [[text.count(letter) for letter in self.LETTERS] for text in texts], np.float64
        )
        return self.offering(
            replace(
                sample_of(counts.reshape(len(raw), len(self.LETTERS))),
                raw=texts,
                codec=MoleculeCodec(),
                field=MoleculeField(),
                given={"atoms": [atoms for _, atoms in raw]},
                keys=tuple(texts),
            )
        )


class MusicWorld(World):
    """A melody of the scale of one of ten tonics, each with a rhythm of its own, over a bass that moves once a quarter
    and mostly stands a third below it; the key is asked for. Raw examples are a piece and that key."""

    view = "music"
    n = 300
    SCALE = (0, 2, 4, 5, 7, 9, 11)
    TONICS = (0, 7, 2, 9, 4, 11, 5, 10, 3, 8, 6)
    RHYTHMS = (
        (4, 4),
        (2, 2, 4),
        (3, 1, 4),
        (4, 2, 2),
        (1, 1, 2, 4),
        (2, 4, 2),
        (6, 2),
        (4, 3, 1),
        (2, 2, 2, 2),
        (8,),
        (5, 3),
    )

    def draw(
        self, n: int, seed: int, *, but: bool = False, new: bool = False
    ) -> list[tuple[Piece, str]]:
        rng = np.random.default_rng(seed)
        made = (self._piece(kind, rng) for kind in _modes(n, rng, but, new).tolist())
        return [(piece, estimated_key(piece)) for piece in made]

    def _piece(self, kind: int, rng: np.random.Generator) -> Piece:
        rows, at, degree, low = [], 0, int(rng.integers(7)), 0
        while at < 48:
            for size in self.RHYTHMS[kind]:
                if at % 4 == 0:
                    low = degree - (2 if rng.random() < 0.98 else 4)
                    rows.append([at, 4, self._pitch(kind, low) - 24, 1])
                rows.append([at, size, self._pitch(kind, degree), 0])
                at += size
                degree = min(10, max(-3, degree + int(rng.integers(-2, 3))))
        return Piece.of(rows)

    def _pitch(self, kind: int, degree: int) -> int:
        octave, step = divmod(degree, 7)
        return 66 + (self.TONICS[kind] + 6) % 12 - 6 + 12 * octave + self.SCALE[step]

    def noisy(self, raw: list[tuple[Piece, str]], level: float, seed: int) -> list[tuple[Piece, str]]:
        """A share of the notes moved and of another length."""
        rng, made = np.random.default_rng(seed), []
        for piece, key in raw:
            rows = piece.notes.copy()
            wrong = rng.random(len(rows)) < level
            rows[wrong, PITCH] += rng.integers(-6, 7, int(wrong.sum()))
            rows[wrong, SIZE] = rng.integers(1, 9, int(wrong.sum()))
            made.append((Piece.of(rows), key))
        return made

    def trivial(self, raw: list[tuple[Piece, str]], seed: int) -> list[tuple[Piece, str]]:
        """Every pitch and length by itself."""
        rng, made = np.random.default_rng(seed), []
        for piece, key in raw:
            rows = piece.notes.copy()
            rows[:, PITCH], rows[:, SIZE] = (
                rng.integers(48, 84, len(rows)),
                rng.integers(1, 9, len(rows)),
            )
            made.append((Piece.of(rows), key))
        return made

    def ignoring(self, raw: list[tuple[Piece, str]], seed: int) -> list[tuple[Piece, str]]:
        order = np.random.default_rng(seed).permutation(len(raw)).tolist()
        return [(piece, raw[i][1]) for (piece, _), i in zip(raw, order, strict=True)]

    def join(self, a: list[tuple[Piece, str]], b: list[tuple[Piece, str]]) -> list[tuple[Piece, str]]:
        return a + b

    def take(self, raw: list[tuple[Piece, str]], index: Array) -> list[tuple[Piece, str]]:
        return [raw[i] for i in index.tolist()]

    def sample(self, raw: list[tuple[Piece, str]]) -> Sample:
        pieces = [piece for piece, _ in raw]
        counts = np.array([pitch_classes(piece) for piece in pieces]).reshape(len(raw), 12)
        return self.offering(
            replace(
                sample_of(counts),
                raw=pieces,
                codec=MusicCodec(),
                field=MusicField(),
                given={"key": [key for _, key in raw]},
                keys=tuple(piece.digest for piece in pieces),
            )
        )


class SeriesWorld(ArrayWorld):
    """Two channels of 24 steps that swing together at one of ten speeds, with noise that wanders. Raw examples are
    numbers `(n, 24, 2)`."""

    view = "series"
    n = 300
    STEPS = 24
    SPEEDS = 1 + 0.45 * np.random.default_rng(8).permutation(11)

    def draw(self, n: int, seed: int, *, but: bool = False, new: bool = False) -> Array:
        rng = np.random.default_rng(seed)
        turns = self.SPEEDS[_modes(n, rng, but, new)][:, None] * np.arange(self.STEPS) / self.STEPS
        angle = 2 * np.pi * (turns + rng.random((n, 1)))
        slow = 0.15 * rng.normal(size=(n, self.STEPS, 2)).cumsum(1)
        waves = np.stack([np.sin(angle), 0.7 * np.sin(angle - 0.8)], axis=2)
        return np.asarray(waves + slow)

    def noisy(self, raw: Array, level: float, seed: int) -> Array:
        return np.asarray(raw + level * np.random.default_rng(seed).normal(size=raw.shape))

    @cache  # noqa: B019
    def field(self) -> SeriesField:
        """Fitted on the training series."""
        form = SeriesForm(self.STEPS, numbers=("a", "b"))
        field = SeriesField(form)
        field.fit(self._series(self.draw(2 * self.n, 1)))
        field.settle()
        return field

    def _series(self, raw: Array) -> list[Series]:
        times = np.arange(self.STEPS, dtype=np.float64)
        return [Series({"a": one[:, 0], "b": one[:, 1]}, times) for one in raw.astype(np.float64)]

    def sample(self, raw: Array) -> Sample:
        series, field = self._series(raw), self.field()
        x = field.encode(series)
        made = sample_of(x.reshape(len(x), -1))
        keys = tuple(one.digest for one in series)
        return self.offering(replace(made, x=x, raw=series, codec=SeriesCodec(), field=field, keys=keys))

    def space(self) -> Space:
        return self.field().space


WORLDS: dict[str, World] = {
    "rows": NumberWorld(),
    "row": TableWorld(),
    "pixels": PictureWorld(),
    "waveform": SoundWorld(),
    "level": LevelWorld(),
    "molecule": MoleculeWorld(),
    "music": MusicWorld(),
    "series": SeriesWorld(),
    "text": TextWorld(),
    "many texts": ManyTextsWorld(),
}
"""By the view that a metric reads; `rows` for those that read plain numbers."""
