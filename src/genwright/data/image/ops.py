"""One picture: opened safely, brought to an array and to a common form; many pictures on one sheet.

A picture is an array `(h, w, c)` of uint8 or uint16 with c = 1 grey, 2 grey and alpha, 3 colour,
4 colour and alpha, without channels that say nothing: an alpha that is opaque everywhere is dropped,
and a picture with R = G = B at every pixel is grey, whatever its file says. So the same picture has
the same array and the same `digest` as PNG, BMP, GIF or lossless WebP.

How each mode that Pillow may find is treated (`to_array`):

    1                   black and white become 0 and 255
    L, LA, RGB, RGBA    as they are (16-bit colour PNGs are brought to 8 bits by Pillow itself)
    P, PA               looked up in the palette; a transparent colour becomes alpha
    L, RGB with tRNS    the transparent colour becomes alpha
    CMYK, YCbCr, other  converted to RGB; colour profiles are not applied
    I;16, I;16B, ...    16-bit grey, kept at 16 bits; a transparent value is ignored
    I                   16-bit grey if all values lie in 0 to 65535, else refused
    F                   grey of [0, 1] brought to 8 bits, else refused

Of an animation the first frame counts, and the rotation noted in EXIF is applied.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from math import ceil, sqrt
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from genwright.data.codec import Array, Rejected
from genwright.errors import DataError

__all__ = [
    "FORMATS",
    "LARGEST_SIDE",
    "MOST_PIXELS",
    "Crop",
    "ImageFormat",
    "Picture",
    "above",
    "digest",
    "drop_redundant_channels",
    "faults",
    "fit_to",
    "header_size",
    "open_mask",
    "open_picture",
    "pixels",
    "sheet",
    "to_array",
    "to_image",
    "to_unsigned",
]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Tried by content. Every further format is a parser more that hostile files can reach."""
MOST_PIXELS = 50_000_000
"""Of one picture, unless more are allowed. Above it nothing is decoded: a file of a few kB can declare gigabytes."""
LARGEST_SIDE = 1024
"""Of a generated picture; a JPEG is therefore never decoded finer than it takes to keep this."""

Crop = Literal["center", "fit", "stretch", "tiles"]


@dataclass(frozen=True)
class Picture:
    """A picture as read: `pixels` `(h, w, c)`, and what its file tells beside them.

    `height` and `width` are the file's own (upright); `pixels` of a large JPEG can be smaller.
    """

    pixels: Array
    height: int
    width: int
    format: str
    animated: bool = False


@dataclass(frozen=True)
class ImageFormat:
    """What all pictures are brought to: `channels` 1, 3 or 4; `depth` 8 bits, or 16 for grey only."""

    height: int
    width: int
    channels: int
    depth: int
    crop: Crop
    background: tuple[int, int, int]

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        return np.uint16 if self.depth == 16 else np.uint8

    @property
    def top(self) -> int:
        """The brightest value."""
        return (1 << self.depth) - 1


# -- opening -----------------------------------------------------------------------------------


def open_picture(
    path: Path, name: str, *, whole: bool = False, most: int | None = None
) -> Picture | Rejected:
    """The picture in a file, or why there is none.

    name   how a person knows the file
    whole  read it in all its detail
    most   pixels that it may have (None: `MOST_PIXELS`)
    """
    most = MOST_PIXELS if most is None else most
    try:
        with _opened(path, most) as image:
            width, height = image.size
            if width * height > most:
                raise Image.DecompressionBombError
            # MPO is what a phone writes: a JPEG with further pictures behind it, which nothing plays.
            found = "JPEG" if image.format == "MPO" else str(image.format)
            animated = found != "JPEG" and bool(getattr(image, "is_animated", False))
            # A JPEG can leave out detail that no generated picture could show; others ignore this.
            if not whole:
                image.draft(None, (LARGEST_SIDE, LARGEST_SIDE))
            image.load()
            array = to_array(image)
            turn = _orientation(image)
    except Image.DecompressionBombError:
        return Rejected(
            name,
            f"it declares more than {most // 10**6} megapixels and could be a decompression "
            f"bomb, so nothing was decoded: make it smaller"
            + (", or allow more (--max-megapixels)" if whole else ""),
        )
    except UnidentifiedImageError:
        empty = path.stat().st_size == 0
        return Rejected(
            name, "the file is empty" if empty else f"not a picture: wanted {', '.join(FORMATS)}"
        )
    except OSError as error:
        if error.filename is not None:
            return Rejected(name, f"cannot be opened: {error.strerror}")
        return Rejected(name, f"damaged or cut short: {error}")
    except Exception as error:  # a decoder fed with damaged bytes may raise anything
        return Rejected(name, f"damaged: {error or type(error).__name__}")
    if turn >= 5:
        height, width = width, height
    return Picture(drop_redundant_channels(_upright(array, turn)), height, width, found, animated)


def open_mask(path: Path, grid: tuple[int, int], whose: str) -> NDArray[np.bool_]:
    """Where a grey picture is white `(h, w)`: what is to be made of an example of that size. Raises `DataError`.

    whose  what the example is called
    """
    found = open_picture(path, str(path), whole=True, most=max(MOST_PIXELS, grid[0] * grid[1]))
    if isinstance(found, Rejected):
        raise DataError(f"{found.name} is no mask: {found.reason}", code="not-a-picture")
    if found.pixels.shape[:2] != grid:
        (h, w), (height, width) = found.pixels.shape[:2], grid
        raise DataError(
            f"the mask {path.name} is {w} x {h} and its {whose} {width} x {height}: give a mask of the size of "
            f"the {whose}, white where something is to be made",
            code="mask-of-another-size",
        )
    grey = found.pixels[..., : 1 if found.pixels.shape[2] <= 2 else 3].astype(np.float32).mean(2)
    return np.asarray(grey > np.iinfo(found.pixels.dtype).max / 2)


def header_size(path: Path) -> tuple[int, int] | None:
    """Height and width as the header declares them; None where there is no picture."""
    try:
        with _opened(path, MOST_PIXELS) as image:
            return image.height, image.width
    except Exception:  # as above
        return None


@contextmanager
def _opened(path: Path, most: int) -> Iterator[Image.Image]:
    with path.open("rb") as stream, warnings.catch_warnings():
        # Pillow warns of sizes, which we refuse ourselves, and of odd metadata, which we do not need.
        warnings.simplefilter("ignore")
        with _allowed(most), Image.open(stream, formats=FORMATS) as image:
            yield image


@contextmanager
def _allowed(most: int) -> Iterator[None]:
    """Pillow's own bound, twice its number, raised where a person allows more than that."""
    own = Image.MAX_IMAGE_PIXELS
    if own is not None and most > 2 * own:
        Image.MAX_IMAGE_PIXELS = most
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = own


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 is upright."""
    try:
        turn = image.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF says nothing against the pixels
        return 1
    return turn if turn in range(1, 9) else 1


def _upright(array: Array, turn: int) -> Array:
    """`(h, w, c)` with the EXIF orientation `turn` undone."""
    if turn >= 5:  # stored as columns: 5 as it is, 6 to 8 mirrored in addition
        array = array.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        array = array[:, ::-1]
    if turn in (3, 4, 7, 8):
        array = array[::-1]
    return array


# -- to an array -------------------------------------------------------------------------------


def to_array(image: Image.Image) -> Array:
    """A Pillow image of any mode as `(h, w, c)`; the table above says how. `ValueError` if refused."""
    mode = image.mode
    if mode.startswith("I"):
        values = np.asarray(image)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise ValueError(f"its values {values.min()} to {values.max()} do not fit into 16 bits")
        return values.astype(np.uint16)[..., None]
    if mode == "F":
        values = np.asarray(image)[..., None]
        (fault,) = faults(values[None])
        if fault:
            raise ValueError(fault)
        return to_unsigned(values, np.uint8)
    if mode == "1":
        image = image.convert("L")
    elif image.has_transparency_data:
        image = image.convert("LA" if mode in ("L", "LA", "La") else "RGBA")
    elif mode not in ("L", "RGB"):
        image = image.convert("RGB")
    array = np.asarray(image)
    return array if array.ndim == 3 else array[..., None]


def faults(values: Array) -> list[str]:
    """Why each of the float pictures `(n, ...)` cannot be used; "" for one that keeps to [0, 1]."""
    flat = values.reshape(len(values), -1)
    finite = np.isfinite(flat).all(axis=1)
    unit = ((flat >= 0) & (flat <= 1)).all(axis=1)
    broken = "its floats are not all finite"
    beyond = "its floats lie outside 0 to 1: scale them, or store uint8"
    found: list[str] = np.select([~finite, ~unit], [broken, beyond], "").tolist()
    return found


def to_unsigned(values: Array, dtype: type[np.unsignedinteger]) -> Array:
    """Floats in [0, 1] as uint8 or uint16, rounded."""
    return np.rint(values * np.float64(np.iinfo(dtype).max)).astype(dtype)


def drop_redundant_channels(array: Array) -> Array:
    """`(h, w, c)` without an opaque alpha and without colours that are all grey; contiguous."""
    if array.shape[2] in (2, 4) and (array[..., -1] == np.iinfo(array.dtype).max).all():
        array = array[..., :-1]
    if array.shape[2] >= 3 and _is_grey(array[::16, ::16]) and _is_grey(array):
        array = array[..., [0, *range(3, array.shape[2])]]
    return np.ascontiguousarray(array)


def _is_grey(array: Array) -> bool:
    red = array[..., 0]
    return bool((red == array[..., 1]).all() and (red == array[..., 2]).all())


def pixels(example: Picture | Array) -> Array:
    """`(h, w, c)` of a raw example, whether read (`Picture`) or generated (`(h, w)` or `(h, w, c)`)."""
    array = example.pixels if isinstance(example, Picture) else np.asarray(example)
    return array if array.ndim == 3 else array[..., None]


def digest(array: Array) -> str:
    """Of the content of a plain array `(h, w, c)`: equal pictures, equal digest."""
    state = blake2b(f"{array.shape} {array.dtype.name}".encode(), digest_size=16)
    state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


# -- to the common form ------------------------------------------------------------------------


def fit_to(array: Array, form: ImageFormat) -> Array:
    """Any picture `(h, w, c)` in the common form, `(H, W, C)`.

    It is scaled first (large pictures are then converted at their small size), by Lanczos with the
    filter widened where it shrinks, and with colours weighted by alpha.
    """
    if array.dtype == np.uint16 and (form.depth == 8 or array.shape[2] > 1):
        array = _to_eight(array)
    array = _convert(_scaled(array, form), form)
    if array.dtype == np.uint8 and form.depth == 16:
        array = array.astype(np.uint16) * 257
    if array.shape[:2] == (form.height, form.width):
        return array
    colour = np.array([*form.background, 0], form.dtype) * np.array(form.top // 255, form.dtype)
    paper = colour[None, None, : form.channels] if form.channels > 1 else _luma(colour[None, None])
    whole = np.broadcast_to(paper, (form.height, form.width, form.channels)).copy()
    top, left = (form.height - array.shape[0]) // 2, (form.width - array.shape[1]) // 2
    whole[top : top + array.shape[0], left : left + array.shape[1]] = array
    return whole


def _scaled(array: Array, form: ImageFormat) -> Array:
    """Scaled to cover the grid (center, and where tiles are learnt: cut to it), to lie within it (fit) or to be it
    (stretch)."""
    (h, w), (height, width) = array.shape[:2], (form.height, form.width)
    if form.crop in ("center", "tiles"):
        # Cut at whole pixels before scaling, so that a picture that needs no scaling stays sharp.
        cut_h = min(h, max(1, round(w * height / width)))
        cut_w = min(w, max(1, round(h * width / height)))
        top, left = (h - cut_h) // 2, (w - cut_w) // 2
        array = array[top : top + cut_h, left : left + cut_w]
    elif form.crop == "fit":
        scale = min(height / h, width / w)
        height, width = max(1, round(h * scale)), max(1, round(w * scale))
    if array.shape[:2] == (height, width):
        return array
    flat = np.ascontiguousarray(array[..., 0] if array.shape[2] == 1 else array)
    image = Image.fromarray(flat.astype(np.float32) if flat.dtype == np.uint16 else flat)
    # Shrinking by whole steps first is many times faster on large pictures and looks the same.
    scaled = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0))
    if array.dtype == np.uint16:
        scaled = np.rint(scaled).clip(0, 65535).astype(np.uint16)
    return scaled if scaled.ndim == 3 else scaled[..., None]


def _convert(array: Array, form: ImageFormat) -> Array:
    """`(h, w, c)` to the channels of the form: alpha flattened on the background, or kept."""
    if form.channels == 4:
        alpha = array[..., -1:] if array.shape[2] in (2, 4) else np.full_like(array[..., :1], 255)
        return np.concatenate([_rgb(array), alpha], axis=2)
    if array.shape[2] in (2, 4):
        alpha = array[..., -1:].astype(np.uint32)
        paper = np.array(form.background, np.uint32)
        mixed = _rgb(array) * alpha + paper * (255 - alpha)
        array = ((mixed + 127) // 255).astype(np.uint8)
    return _luma(array) if form.channels == 1 else _rgb(array)


def _rgb(array: Array) -> Array:
    return array[..., :3] if array.shape[2] >= 3 else np.repeat(array[..., :1], 3, axis=2)


def _luma(array: Array) -> Array:
    """Brightness by ITU-R 601 in the integers that Pillow uses; grey stays exactly what it is."""
    if array.shape[2] < 3:
        return array[..., :1]
    red, green, blue = (array[..., i : i + 1].astype(np.uint32) for i in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(array.dtype)


def _to_eight(array: Array) -> Array:
    """16 bits to 8, rounded; the inverse of `v * 257`."""
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


# -- to look at --------------------------------------------------------------------------------


def to_image(array: Array) -> Image.Image:
    """`(h, w, c)` as a Pillow image; 16 bits are kept for grey alone, as in its PNGs."""
    if array.dtype == np.uint16 and array.shape[2] > 1:
        array = _to_eight(array)
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.shape[2] == 1 else array))


def above(source: Array, made: Array) -> Array:
    """A picture `(h, w, c)` on top of another, brought to its width; both in colour where they differ."""
    if source.shape[1:] == made.shape[1:] and source.dtype == made.dtype:
        return np.concatenate([source, made])
    width = made.shape[1]
    height = max(1, round(source.shape[0] * width / source.shape[1]))
    # Enlarged without blurring, so that what was given is seen as it is.
    rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), source.shape, strict=False))
    both = (source[rows][:, columns], made)
    white = (255, 255, 255)
    return np.concatenate(
        [fit_to(one, ImageFormat(len(one), width, 3, 8, "stretch", white)) for one in both]
    )


def sheet(
    examples: Sequence[Picture | Array],
    *,
    most: int = 100,
    side: int = 2048,
    gap: int = 2,
    columns: int | None = None,
) -> bytes:
    """A PNG of the first `most` of at least one example in a grid, at most `side` pixels each way.

    The sheet comes out near square, unless `columns` are given. A small picture is enlarged by a whole
    factor without blurring, so that 8 x 8 digits can be seen; a large one is shrunk.
    """
    shown = [pixels(example) for example in examples[:most]]
    high, wide = max(p.shape[0] for p in shown), max(p.shape[1] for p in shown)
    columns = min(len(shown), columns or ceil(sqrt(len(shown) * high / wide)))
    rows = ceil(len(shown) / columns)
    scale = min(((side - gap) // columns - gap) / wide, ((side - gap) // rows - gap) / high)
    if scale >= 1:
        scale = min(int(scale), max(1, 64 // max(high, wide)))
    high, wide = max(1, int(high * scale)), max(1, int(wide * scale))
    whole = Image.new("RGB", (columns * (wide + gap) + gap, rows * (high + gap) + gap), (128, 128, 128))
    for i, array in enumerate(shown):
        tile = to_image(_to_eight(array) if array.dtype == np.uint16 else array)
        grow = min(high / tile.height, wide / tile.width)
        size = [max(1, int(length * (int(grow) if grow >= 1 else grow))) for length in tile.size]
        way = Image.Resampling.NEAREST if grow >= 1 else Image.Resampling.LANCZOS
        tile = tile.resize((size[0], size[1]), way, reducing_gap=None if grow >= 1 else 3.0)
        row, column = divmod(i, columns)
        place = (gap + column * (wide + gap), gap + row * (high + gap))
        whole.paste(tile.convert("RGB"), place, tile.getchannel("A") if "A" in tile.mode else None)
    out = BytesIO()
    whole.save(out, "PNG")
    return out.getvalue()
