"""A picture as a field: pixels `(H, W)` of one size and number of channels, learnt from the training split."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median_low
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from genwright.data.codec import Rejected
from genwright.data.field import Array, Field, Partial, Values
from genwright.data.image.ops import (
    LARGEST_SIDE,
    Crop,
    ImageFormat,
    Picture,
    drop_redundant_channels,
    fit_to,
    open_mask,
    open_picture,
    pixels,
    to_array,
    to_image,
)
from genwright.data.image.png import write_png
from genwright.errors import DataError, RecipeError, Unsupported
from genwright.space import Real, Space
from genwright.variations import Augmentation, strengths, vary

__all__ = ["ImageField", "ImageStats"]

AUTO_SIDE = 64
"""The largest side that is chosen without being asked for: what one machine trains in hours."""
CHANNELS = {"grey": 1, "rgb": 3, "rgba": 4}
LARGE = 2**25
"""Numbers of a picture that is written some rows at a time: Pillow would hold it again."""


class ImageField(Field):
    """Pictures of one form, to `(C, H, W)` of values in [-1, 1] and back. The options are those of `ImageCodec`."""

    kind = "image"
    views = frozenset({"pixels"})
    suffix = ".png"
    levels = 256

    def __init__(
        self,
        *,
        size: int | tuple[int, int] | None = None,
        crop: Crop = "center",
        channels: Literal["auto", "grey", "rgb", "rgba"] = "auto",
        depth: Literal["auto", 8, 16] = "auto",
        background: tuple[int, int, int] = (255, 255, 255),
        augment: tuple[Augmentation, ...] | dict[Augmentation, float] = (),
    ) -> None:
        self._size = (size, size) if isinstance(size, int) else size
        if self._size and not all(1 <= side <= LARGEST_SIDE for side in self._size):
            raise RecipeError(
                f"codec.size is 1 to {LARGEST_SIDE}, or two such numbers, not {size}",
                code="out-of-range",
            )
        if not all(0 <= value <= 255 for value in background):
            raise RecipeError(
                f"codec.background is three numbers of 0 to 255, not {background}", code="out-of-range"
            )
        if depth == 16 and channels in ("rgb", "rgba"):
            raise RecipeError(
                f"depth=16 is for grey pictures: with channels={channels} use depth=8",
                code="contradicting-options",
            )
        self._crop, self._channels, self._depth = crop, channels, depth
        self._background = background
        self._augment = strengths(augment)
        self._stats = ImageStats()
        self._form: ImageFormat | None = None
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []
        self.frame = "image"

    @property
    def form(self) -> ImageFormat:
        assert self._form is not None, "settle or restore comes first"
        return self._form

    # -- learning ------------------------------------------------------------------------------

    def fit(self, values: Values) -> None:
        for value in values:
            self._stats.add(value)

    def settle(self) -> None:
        stats, self._stats = self._stats, ImageStats()
        if not stats.count:
            raise DataError(
                "there is no picture to learn from: add pictures, or mend those found unusable",
                code="no-examples",
            )
        height, width, reason = self._choose_size(stats)
        channels = self._choose_channels(stats, height, width)
        depth = self._choose_depth(stats, channels)
        self._form = ImageFormat(height, width, channels, depth, self._crop, self._background)
        self._facts = {
            "pictures": stats.count,
            "height": height,
            "width": width,
            "size_from": reason,
            "channels": next(name for name, number in CHANNELS.items() if number == channels),
            "depth": depth,
            "formats": dict(sorted(stats.formats.items())),
            **stats.facts(),
            "enlarged": stats.enlarged(self._form),
        }
        self._warnings = stats.warnings(self._form)

    def _choose_size(self, stats: ImageStats) -> tuple[int, int, str]:
        if self._size:
            return *self._size, "as asked"
        sizes = stats.sizes
        if len(sizes) == 1:
            height, width = next(iter(sizes))
            if max(height, width) <= AUTO_SIDE:
                return height, width, "all pictures have this size"
        middle = median_low(min(size) for size in sizes.elements())
        side = min(AUTO_SIDE, middle if middle < 8 else middle // 8 * 8)
        reason = f"a square from the median of the shorter sides, {middle}, and at most {AUTO_SIDE}"
        return side, side, reason

    def _choose_channels(self, stats: ImageStats, height: int, width: int) -> int:
        if self._channels != "auto":
            return CHANNELS[self._channels]
        transparent = stats.kinds[2] + stats.kinds[4]
        if 2 * transparent > stats.count:
            return 4
        # A grey picture stays grey unless something coloured shows through or stands beside it.
        tinted = len(set(self._background)) > 1
        padded = self._crop == "fit" and any(h * width != w * height for h, w in stats.sizes)
        coloured = stats.kinds[3] + stats.kinds[4] > 0 or (tinted and (transparent > 0 or padded))
        return 3 if coloured else 1

    def _choose_depth(self, stats: ImageStats, channels: int) -> int:
        if self._depth == 16 and channels > 1:
            raise RecipeError(
                "depth=16 is for grey pictures, and these have colours: add channels=grey",
                code="contradicting-options",
            )
        if self._depth != "auto":
            return self._depth
        return 16 if channels == 1 and 2 * stats.deep > stats.count else 8

    @property
    def space(self) -> Space:
        return Space((self.form.height, self.form.width), (Real(self.form.channels, bounded=True),))

    # -- to tensors and back -------------------------------------------------------------------

    def encode(self, values: Values) -> Array:
        """`(n, C, H, W)` uint8, or uint16 where pictures have 16 bits."""
        form = self.form
        out = np.empty((len(values), form.height, form.width, form.channels), form.dtype)
        for i, value in enumerate(values):
            out[i] = fit_to(pixels(value), form)
        return np.ascontiguousarray(out.transpose(0, 3, 1, 2))

    def expand(self, compact: Array) -> Tensor:
        """0 to 255 (or 65535) become -1 to 1, float32; `decode` finds every value again exactly."""
        x = compact.astype(np.float32)
        x /= np.float32(self.form.top / 2)
        x -= 1
        return torch.from_numpy(np.ascontiguousarray(x))

    def augment(self, x: Tensor, rng: Generator) -> Tensor:
        return vary(x, rng, self._augment)

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[Array]:
        """n pictures `(H, W)` or `(H, W, C)`, uint8 or uint16."""
        top = self.form.top
        values = np.rint((np.asarray(x) + 1) * (top / 2)).clip(0, top).astype(self.form.dtype)
        values = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
        return list(values[..., 0] if self.form.channels == 1 else values)

    def partial(self, values: Values) -> Partial:
        """Pictures whose transparent pixels are unknown. Raises `DataError` where all or nothing is."""
        form = self.form
        whole = ImageFormat(form.height, form.width, 1, 8, form.crop, (255, 255, 255))
        known = np.empty((len(values), 1, form.height, form.width), bool)
        for i, value in enumerate(values):
            array = pixels(value)
            seen = array[..., -1:] if array.shape[2] in (2, 4) else np.full((*array.shape[:2], 1), 255)
            there = fit_to((seen > 0).astype(np.uint8) * 255, whole)
            known[i, 0] = there.reshape(form.height, form.width) == 255
            _check_gaps(known[i])
        x = self.tensor([_opaque(pixels(value)) for value in values] if form.channels != 4 else values)
        return Partial(x, torch.from_numpy(known).expand(x.shape).clone())

    def masked(self, value: Any, mask: Path) -> Any:
        """The picture, transparent where a grey one of its size is white."""
        array = _opaque(pixels(value))
        known = ~open_mask(mask, (array.shape[0], array.shape[1]), "picture")[..., None]
        alpha = known.astype(array.dtype) * np.iinfo(array.dtype).max
        array = np.concatenate([array, alpha], axis=2)
        return replace(value, pixels=array) if isinstance(value, Picture) else array

    def check_gaps(self, value: Any) -> None:
        array = pixels(value)
        _check_gaps(array[..., -1] > 0 if array.shape[2] in (2, 4) else np.ones(1, bool))

    def part(self, value: Any, place: tuple[slice, ...]) -> Partial:
        array = pixels(value)[place]
        height, width = array.shape[:2]
        other = self.at(Space((height, width), self.space.spans))
        known = array[..., -1] > 0 if array.shape[2] in (2, 4) else np.ones((height, width), bool)
        x = other.tensor([array if self.form.channels == 4 else _opaque(array)])
        return Partial(x, torch.from_numpy(known)[None, None].expand(x.shape))

    def whole(self, parts: Iterable[Any], size: int) -> Array:
        out, filled = None, 0
        for part in parts:
            if out is None:  # of a large picture there is no room for a second copy
                out = np.empty((size, *part.shape[1:]), part.dtype)
            out[filled : filled + len(part)] = part
            filled += len(part)
        assert out is not None, "there is a part"
        return out[:filled]

    def pooled(self, draws: Iterable[Values], given: Values = ()) -> list[Array]:
        """Of each pixel the mean; what is known is the same in all."""
        sums, k = list[Array](), 0
        for made in draws:
            sums = sums or [np.zeros(np.shape(one), np.uint32) for one in made]
            for total, one in zip(sums, made, strict=True):
                total += one
            k += 1
            del made, one  # before the next one is made, since each may be large
        return [((total + k // 2) // k).astype(self.form.dtype) for total in sums]

    def at(self, space: Space) -> Field:
        span = space.spans[0]
        if len(space.grid) != 2 or len(space.spans) != 1 or not isinstance(span, Real):
            raise Unsupported(f"a picture cannot be brought to {space}", code="fixed-grid")
        other = ImageField()
        height, width = space.grid
        depth = 8 if span.n > 1 else self.form.depth
        other._form = replace(self.form, height=height, width=width, channels=span.n, depth=depth)
        return other

    def grid_of(self, value: Any) -> tuple[int, ...]:
        height, width = pixels(value).shape[:2]
        return height, width

    # -- raw values ----------------------------------------------------------------------------

    def parse(self, given: Any) -> Picture | Array:
        """A picture from a path, a Pillow image or an array. Raises `DataError` for what is none."""
        if isinstance(given, str | Path):
            found = open_picture(Path(given).expanduser(), str(given))
            if isinstance(found, Rejected):
                raise DataError(f"{found.name} cannot be given: {found.reason}", code="not-a-picture")
            return found
        if isinstance(given, Image.Image):
            return drop_redundant_channels(to_array(given))
        if isinstance(given, Picture | np.ndarray):
            return given
        raise DataError(
            f"a picture is a path, an image or an array, not {given!r}", code="not-a-picture"
        )

    def save(self, value: Any, path: Path) -> None:
        if (array := pixels(value)).size < LARGE:
            path.write_bytes(self.file_bytes(value))
        else:
            write_png(array, path)

    def file_bytes(self, value: Any) -> bytes:
        if (array := pixels(value)).size >= LARGE:
            return super().file_bytes(value)
        out = io.BytesIO()
        to_image(array).save(out, "PNG")
        return out.getvalue()

    def cautions(self, values: Values, *, partial: bool = False) -> list[str]:
        own = (self.form.height, self.form.width)
        others = sorted({self.grid_of(value) for value in values} - {own})
        if not others:
            return []
        way = {"fit": "padded", "stretch": "stretched"}.get(self.form.crop, "cut at its centre")
        was, now = (f"{width} x {height}" for height, width in (others[0], own))
        return [f"is {was} and was brought to {now}, {way} where its shape is another"]

    def changed(self, values: Values, path: str) -> list[str]:
        own = (self.form.height, self.form.width)
        sizes = {(v.height, v.width) if isinstance(v, Picture) else v.shape[:2] for v in values}
        others = sorted(sizes - {own})
        if not others:
            return []
        return [
            f"some pictures in {path} are {' x '.join(map(str, others[0]))} and were brought to "
            f"{' x '.join(map(str, own))}, the size of the real ones"
        ]

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        """The form, with the crop and the background that it was made with, and what was found."""
        form = asdict(self.form)
        return {
            "form": form | {"background": list(self.form.background)},
            "facts": self._facts,
            "warnings": self._warnings,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        form = dict(state["form"])
        self._form = ImageFormat(**form | {"background": tuple(form["background"])})
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])


def _check_gaps(known: Array) -> None:
    """Raise `DataError` where all of a picture is known, or nothing."""
    if known.all() or not known.any():
        what = "nothing is transparent" if known.all() else "everything is transparent"
        raise DataError(
            f"a picture with gaps has transparent pixels where something is to be made, and here {what}: "
            f"save it with an alpha channel that is 0 there (PNG), or name a mask (--mask)",
            code="no-gaps-given",
        )


def _opaque(array: Array) -> Array:
    """Without its alpha, so that nothing shines through what is known."""
    return array[..., :-1] if array.shape[2] in (2, 4) else array


@dataclass
class ImageStats:
    """What the pictures of the training split are like."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """By height and width."""
    kinds: Counter[int] = field(default_factory=Counter)
    """By number of channels: 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha."""
    formats: Counter[str] = field(default_factory=Counter)
    count: int = 0
    animated: int = 0
    deep: int = 0
    """How many have 16 bits, and their brightest value:"""
    brightest: int = 0

    def add(self, example: Picture | Array) -> None:
        array = pixels(example)
        if isinstance(example, Picture):
            self.sizes[example.height, example.width] += 1
            self.formats[example.format] += 1
            self.animated += example.animated
        else:
            self.sizes[array.shape[0], array.shape[1]] += 1
        self.count += 1
        self.kinds[array.shape[2]] += 1
        if array.dtype == np.uint16:
            self.deep += 1
            self.brightest = max(self.brightest, int(array.max()))

    def facts(self) -> dict[str, Any]:
        by_area = sorted(self.sizes.elements(), key=lambda size: (size[0] * size[1], size))
        kinds = {
            "grey": self.kinds[1] + self.kinds[2],
            "colour": self.kinds[3] + self.kinds[4],
            "transparent": self.kinds[2] + self.kinds[4],
            "animated": self.animated,
            "16 bits": self.deep,
        }
        return {
            "sizes": {"all": list(by_area[0])}
            if len(self.sizes) == 1
            else {
                "different": len(self.sizes),
                "smallest": list(by_area[0]),
                "median": list(by_area[(self.count - 1) // 2]),
                "largest": list(by_area[-1]),
            },
            "kinds": {name: count for name, count in kinds.items() if count},
        }

    def enlarged(self, form: ImageFormat) -> int:
        """How many pictures are smaller than what they are brought to."""
        choose = min if form.crop == "fit" else max
        return sum(
            number
            for (h, w), number in self.sizes.items()
            if choose(form.height / h, form.width / w) > 1
        )

    def warnings(self, form: ImageFormat) -> list[str]:
        said = []
        size = f"{form.width} x {form.height}"
        enlarged = self.enlarged(form)
        if enlarged:
            said.append(
                f"{enlarged} of {self.count} pictures are smaller than {size} and are enlarged: what "
                f"they lack is learnt as blur; choose a smaller size, or leave them out"
            )
        sides = [side for pair in self.sizes for side in pair]
        if max(sides) > 4 * min(sides):
            said.append(
                f"the sides of the pictures go from {min(sides)} to {max(sides)} pixels, and all are "
                f"brought to {size}: fine detail will differ between them"
            )
        if self.animated:
            said.append(f"{self.animated} pictures are animated: only the first frame of each is used")
        if form.depth == 8 and self.deep:
            said.append(f"{self.deep} pictures have 16 bits and are brought to 8")
        if form.depth == 16 and self.brightest < 2**15:
            said.append(
                f"the brightest value is {self.brightest} of 65535, so everything is dark: stretch the "
                f"pictures first, to let the model use the whole range"
            )
        return said
