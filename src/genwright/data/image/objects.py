"""Pictures in memory: Pillow's, and arrays and tensors of any layout, to pixels and back."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from genwright.data.arrays import write_arrays
from genwright.data.codec import Array
from genwright.data.containers import (
    Examples,
    ObjectForm,
    as_array,
    as_tensor,
    column_form,
    forms,
    mixed,
    numpy_dtype,
    plain,
)
from genwright.data.image.ops import faults, pixels, to_array, to_image, to_unsigned
from genwright.data.shards import unusable, write_shard

__all__ = ["keep_pictures", "picture_as_given", "picture_form"]

CHANNELS = (1, 3, 4)
MODES = ("1", "L", "LA", "RGB", "RGBA")
"""Of Pillow, to which a picture is brought back."""


def picture_form(value: Any, rate: int | None = None) -> ObjectForm | None:
    """Of a picture: whose object it is, and of an array its dtype, axes and number of channels."""
    if isinstance(value, Image.Image):
        return {"of": "pillow", "mode": value.mode}
    if not isinstance(value, np.ndarray | torch.Tensor) or rate is not None:
        return None
    shape = tuple(value.shape)
    axes = {2: "hw", 3: "hwc"}.get(len(shape), "")
    if len(shape) == 3 and shape[2] not in CHANNELS:
        axes = "chw" if shape[0] in CHANNELS else ""
    return (
        {**column_form(value), "axes": axes, "channels": shape[axes.index("c")] if "c" in axes else 1}
        if axes
        else None
    )


def keep_pictures(examples: Examples, folder: Path) -> tuple[Path, dict[str, ObjectForm]]:
    """Those of one array in an `.npz`, all others in a `.tar`."""
    found = forms(examples, picture_form)
    if examples.even and len(found) == 1:
        (name,) = found
        labels = {
            other: [plain(row[other]) for row in examples.rows()]
            for other in examples.names
            if other != name
        }
        if all(None not in values for values in labels.values()):
            file = folder / "pictures.npz"
            pictures = (_pixels(row[name], i) for i, row in enumerate(examples.rows()))
            write_arrays(file, examples.n, {"images": pictures}, labels)
            return file, found
    file = folder / "pictures.tar"
    write_shard(file, examples, found, lambda value, i: (".png", _png(value, i)))
    return file, found


def _png(value: Any, i: int) -> bytes:
    data = BytesIO()
    to_image(_pixels(value, i)).save(data, "PNG", compress_level=1)
    return data.getvalue()


def _pixels(value: Any, i: int) -> Array:
    """`(h, w, c)` uint8 or uint16. Raises `DataError` for what is no picture, or cannot be used."""
    form = picture_form(value)
    if form is None:
        raise mixed(i, value, "a picture")
    if form["of"] == "pillow":
        try:
            return to_array(value)
        except ValueError as error:
            raise unusable(i, str(error)) from None
    array = as_array(value)
    array = array[..., None] if form["axes"] == "hw" else array
    array = np.moveaxis(array, 0, -1) if form["axes"] == "chw" else array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f":
        (fault,) = faults(array[None])
        if fault:
            raise unusable(i, fault)
        return to_unsigned(array, np.uint8)
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.size and (array.min() < 0 or array.max() > 255):
        raise unusable(
            i,
            f"its values {array.min()} to {array.max()} are no pixels: give uint8, or floats of 0 to 1",
        )
    return array.astype(np.uint8)


def picture_as_given(raw: Any, form: ObjectForm) -> Any:
    """A raw picture as an object of a form; one with more channels, as where colours were made, keeps them."""
    array = pixels(raw)
    if form["of"] == "pillow":
        image, mode = to_image(array), form["mode"]
        fits = mode in MODES and len(image.getbands()) <= Image.getmodebands(mode)
        return image.convert(mode) if fits and image.mode != mode else image
    array = _cast(_channels(array, form["channels"]), numpy_dtype(form))
    array = array[..., 0] if form["axes"] == "hw" and array.shape[2] == 1 else array
    array = np.moveaxis(array, -1, 0) if form["axes"] == "chw" else array
    return as_tensor(array, form) if form["of"] == "torch" else np.ascontiguousarray(array)


def _channels(array: Array, wanted: int) -> Array:
    """With as many as were given: colours that are all grey, and an alpha that is opaque, were left out."""
    if array.shape[2] < 3 <= wanted:
        array = array[..., [0] * 3]
    if array.shape[2] < wanted:
        opaque = np.full((*array.shape[:2], 1), np.iinfo(array.dtype).max, array.dtype)
        array = np.concatenate([array, opaque], axis=2)
    return array


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    top = np.iinfo(array.dtype).max
    if dtype.kind == "b":
        return array > top // 2
    if dtype.kind == "f":
        return (array / top).astype(dtype)
    if dtype == np.uint16 and array.dtype == np.uint8:
        return array.astype(dtype) * 257
    return (array >> 8 if array.dtype == np.uint16 and dtype.itemsize == 1 else array).astype(dtype)
