"""Opening one picture file, bringing it to an array and to a form, and the sheet."""

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from genwright.data.codec import Rejected
from genwright.data.image.ops import (
    ImageFormat,
    Picture,
    digest,
    drop_redundant_channels,
    fit_to,
    open_picture,
    sheet,
    to_array,
)


def noise(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    top = int(np.iinfo(dtype).max)
    return np.random.default_rng(0).integers(0, top, (height, width, channels), dtype)


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(path, **options)
    return path


def opened(path: Path) -> Picture:
    found = open_picture(path, path.name)
    assert isinstance(found, Picture), found
    return found


def refused(path: Path) -> Rejected:
    found = open_picture(path, path.name)
    assert isinstance(found, Rejected)
    assert found.name == path.name
    return found


def form(
    height: int,
    width: int,
    channels: int = 3,
    depth: int = 8,
    crop: str = "center",
    background=(255,) * 3,
):
    return ImageFormat(height, width, channels, depth, crop, background)


# -- what is a picture, and what is not --------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "webp"])
def test_the_same_picture_is_the_same_array_and_key_in_every_lossless_format(tmp_path, suffix):
    colour = np.zeros((4, 6, 3), np.uint8)
    colour[:, :3], colour[2:, 3:] = (255, 0, 0), (10, 20, 30)
    grey = noise(5, 7, 1)
    for name, array in {"colour": colour, "grey": grey}.items():
        options = {"lossless": True} if suffix == "webp" else {}
        found = opened(save(tmp_path / f"{name}.{suffix}", array, **options))
        assert np.array_equal(found.pixels, array)
        assert digest(found.pixels) == digest(array)
        assert found.format == suffix.upper()
    assert digest(colour) != digest(grey)
    assert digest(colour) != digest(colour.reshape(6, 4, 3))


def test_content_decides_what_a_file_is_and_not_its_name(tmp_path):
    Image.fromarray(noise(8, 8)).save(tmp_path / "photo.png", "JPEG")
    assert opened(tmp_path / "photo.png").format == "JPEG"
    (tmp_path / "notes.png").write_text("these are words")
    assert "not a picture" in refused(tmp_path / "notes.png").reason
    (tmp_path / "nothing.png").touch()
    assert "empty" in refused(tmp_path / "nothing.png").reason
    assert "cannot be opened: No such file" in refused(tmp_path / "gone.png").reason
    Image.fromarray(noise(8, 8)).save(tmp_path / "scan.png", "TIFF")
    assert "not a picture" in refused(tmp_path / "scan.png").reason


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp"])
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_file_cut_short_is_bad(tmp_path, suffix, share):
    path = save(tmp_path / f"cut.{suffix}", noise(40, 40))
    whole = path.read_bytes()
    opened(path)
    path.write_bytes(whole[: int(len(whole) * share)])
    assert refused(path).reason


def test_damaged_bytes_never_raise(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "damaged"
    for suffix in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        stream = io.BytesIO()
        Image.fromarray(noise(12, 12)).save(stream, suffix)
        for _ in range(40):
            data = bytearray(stream.getvalue())
            for place in rng.integers(0, len(data), 4):
                data[place] = rng.integers(256)
            path.write_bytes(data)
            assert isinstance(open_picture(path, "damaged"), Picture | Rejected)


def huge_png(width: int, height: int) -> bytes:
    def block(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", head) + block(b"IDAT", rows) + block(b"IEND", b"")


def huge_gif(width: int, height: int) -> bytes:
    """The canvas is small, and the frame on it huge."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame


def huge_bmp(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


@pytest.mark.parametrize(
    "data",
    [
        huge_png(8000, 6251),  # just above 50 megapixels
        huge_png(10_000, 10_000),  # where Pillow would only warn
        huge_png(2**31 - 1, 2**31 - 1),
        huge_gif(65535, 65535),
        huge_gif(8000, 8000),
        huge_bmp(60_000, 60_000),
    ],
)
def test_a_bomb_is_refused_by_its_header(tmp_path, monkeypatch, data):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)  # nothing may be decoded
    path = tmp_path / "bomb"
    path.write_bytes(data)
    tracemalloc.start()
    start = time.perf_counter()
    reason = refused(path).reason
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    tracemalloc.stop()
    assert "more than 50 megapixels" in reason


def test_a_very_wide_picture_is_fine_and_a_large_jpeg_is_decoded_coarsely(tmp_path):
    wide = np.broadcast_to(
        np.arange(20_000, dtype=np.uint16).astype(np.uint8)[None, :, None], (3, 20_000, 1)
    )
    found = opened(save(tmp_path / "wide.png", wide))
    assert (found.height, found.width) == (3, 20_000)
    assert np.array_equal(fit_to(found.pixels, form(3, 3, 1)), wide[:, 9998:10001])
    Image.new("L", (5000, 4200), 77).save(tmp_path / "large.jpg")
    large = opened(tmp_path / "large.jpg")
    assert (large.height, large.width) == (4200, 5000)
    assert large.pixels.shape == (1050, 1250, 1)
    assert (large.pixels == 77).all()


# -- the modes ---------------------------------------------------------------------------------

PALETTE = [10, 20, 30, 200, 100, 50]
BITS = np.array([[0, 1], [1, 0]], np.uint8)
LOOKED_UP = np.array([[[10, 20, 30], [200, 100, 50]], [[200, 100, 50], [10, 20, 30]]], np.uint8)


def palette_image(**info: object) -> Image.Image:
    image = Image.frombytes("P", (2, 2), BITS.tobytes())
    image.putpalette(PALETTE)
    image.info.update(info)
    return image


def test_modes_come_out_as_documented(tmp_path):
    grey, deep = noise(2, 3, 1), noise(2, 3, 1, np.uint16)
    cases = {
        "1": (Image.fromarray(BITS.astype(bool)), BITS[..., None] * 255),
        "L": (Image.fromarray(grey[..., 0]), grey),
        "LA": (Image.fromarray(noise(2, 3, 2)), noise(2, 3, 2)),
        "RGB": (Image.fromarray(noise(2, 3, 3)), noise(2, 3, 3)),
        "RGBA": (Image.fromarray(noise(2, 3, 4)), noise(2, 3, 4)),
        "P": (palette_image(), LOOKED_UP),
        "P, transparent": (
            palette_image(transparency=1),
            np.concatenate([LOOKED_UP, 255 - BITS[..., None] * 255], axis=2),
        ),
        "CMYK": (
            Image.frombytes("CMYK", (2, 1), bytes([0, 0, 0, 0, 0, 255, 255, 0])),
            np.array([[[255, 255, 255], [255, 0, 0]]]),
        ),
        "I;16": (Image.fromarray(deep[..., 0]), deep),
        "I;16B": (Image.frombytes("I;16B", (3, 2), deep.astype(">u2").tobytes()), deep),
        "I": (Image.fromarray(deep[..., 0].astype(np.int32)), deep),
        "F": (Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), np.array([[[0], [128], [255]]])),
    }
    for name, (image, wanted) in cases.items():
        assert image.mode == name.split(",")[0]
        found = to_array(image)
        assert found.dtype == (np.uint16 if name.startswith("I") else np.uint8), name
        assert np.array_equal(found, wanted), name


def test_modes_that_cannot_be_said_in_sixteen_bits_are_refused():
    with pytest.raises(ValueError, match="do not fit into 16 bits"):
        to_array(Image.fromarray(np.array([[-1, 5]], np.int32)))
    beyond, broken = "outside 0 to 1", "not all finite"
    for value, fault in ((1.5, beyond), (-0.1, beyond), (float("nan"), broken)):
        with pytest.raises(ValueError, match=fault):
            to_array(Image.fromarray(np.array([[0.5, value]], np.float32)))


def test_modes_survive_their_files(tmp_path):
    deep = noise(3, 4, 1, np.uint16)
    assert np.array_equal(opened(save(tmp_path / "deep.png", deep)).pixels, deep)
    palette_image().save(tmp_path / "p.png", transparency=1)
    assert opened(tmp_path / "p.png").pixels[..., 3].tolist() == [[255, 0], [0, 255]]
    Image.fromarray(noise(2, 3, 1)[..., 0]).save(
        tmp_path / "l.png", transparency=int(noise(2, 3, 1)[0, 0, 0])
    )
    assert opened(tmp_path / "l.png").pixels.shape == (2, 3, 2)
    assert opened(tmp_path / "l.png").pixels[0, 0, 1] == 0
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    assert np.abs(opened(tmp_path / "print.jpg").pixels[0, 0].astype(int) - [255, 0, 0]).max() <= 2


def test_channels_that_say_nothing_are_dropped():
    grey = noise(20, 20, 1)
    opaque = np.full_like(grey, 255)
    assert np.array_equal(drop_redundant_channels(np.concatenate([grey] * 3 + [opaque], axis=2)), grey)
    tinted = np.repeat(grey, 3, axis=2)
    tinted[7, 9, 2] ^= 1
    assert drop_redundant_channels(tinted).shape == (20, 20, 3)
    opaque[3, 3] = 254
    assert drop_redundant_channels(np.concatenate([grey] * 3 + [opaque], axis=2)).shape == (20, 20, 2)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_rotation_is_applied(tmp_path, turn):
    image = Image.fromarray(noise(2, 3))
    exif = Image.Exif()
    exif[0x0112] = turn
    image.save(tmp_path / "turned.png", exif=exif)
    found = opened(tmp_path / "turned.png")
    with Image.open(tmp_path / "turned.png") as again:
        wanted = np.asarray(ImageOps.exif_transpose(again))
    assert np.array_equal(found.pixels, wanted)
    assert (found.height, found.width) == wanted.shape[:2]
    if turn == 6:  # the camera was held upright: the left column is the top row, read upwards
        assert np.array_equal(found.pixels[0], noise(2, 3)[::-1, 0])


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation_counts(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    found = opened(tmp_path / f"a.{suffix}")
    assert found.animated
    assert (found.pixels == [250, 0, 0]).all()
    frames[0].save(tmp_path / f"b.{suffix}")
    assert not opened(tmp_path / f"b.{suffix}").animated


def test_a_phone_picture_with_a_preview_behind_it_is_a_jpeg_and_no_animation(tmp_path):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("white", "black"))
    first.save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[second])
    found = opened(tmp_path / "phone.jpg")
    assert (found.format, found.animated, found.pixels.min()) == ("JPEG", False, 255)


# -- the common form ---------------------------------------------------------------------------


def test_center_cuts_fit_pads_and_stretch_distorts():
    picture = noise(4, 10)
    assert np.array_equal(fit_to(picture, form(4, 4)), picture[:, 3:7])
    assert np.array_equal(fit_to(noise(4, 9), form(4, 4)), noise(4, 9)[:, 2:6])  # unblurred when uneven
    fitted = fit_to(picture, form(10, 10, crop="fit", background=(1, 2, 3)))
    assert np.array_equal(fitted[3:7], picture)
    assert (np.delete(fitted, range(3, 7), axis=0) == [1, 2, 3]).all()
    halves = np.repeat(np.array([[[0], [200]]], np.uint8), 8, axis=1).repeat(4, axis=0)
    stretched = fit_to(halves, form(2, 2, 1, crop="stretch"))[..., 0]
    assert stretched[:, 0].max() < 25
    assert stretched[:, 1].min() > 175


def test_shrinking_takes_a_mean_and_not_a_pick():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    small = fit_to(board, form(8, 8, 1))
    assert np.abs(small.astype(int) - 128).max() <= 3
    deep = fit_to(board.astype(np.uint16) * 257, form(8, 8, 1, 16))
    assert deep.dtype == np.uint16
    assert np.abs(deep.astype(int) - 32768).max() < 800


def test_alpha_is_flattened_on_the_background_or_kept():
    picture = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    flat = fit_to(picture, form(1, 3, background=(10, 20, 255)))
    # 51 is a fifth: 0.2 * 200 + 0.8 * 10 = 48, and so on
    assert flat.tolist() == [[[200, 100, 0], [10, 20, 255], [48, 36, 204]]]
    half = np.array([[[200, 100, 50, 100]]], np.uint8)
    assert fit_to(half, form(1, 1, background=(10, 20, 30))).tolist() == [[[85, 51, 38]]]  # of 84.5
    assert np.array_equal(fit_to(picture, form(1, 3, 4)), picture)
    assert fit_to(picture[..., [0, 3]], form(1, 3, 1)).ravel().tolist() == [200, 255, 244]
    assert fit_to(picture[..., :1], form(1, 3, 4))[0, 0].tolist() == [200, 200, 200, 255]


def test_what_is_invisible_does_not_bleed_when_scaled():
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[:, :4] = (0, 200, 0, 255)
    picture[:, 4:] = (255, 0, 0, 0)
    small = fit_to(picture, form(3, 3, 3, background=(0, 0, 0)))
    assert (small[..., 0] == 0).all()


def test_grey_of_colours_is_what_pillow_says_and_grey_stays_itself():
    picture = noise(9, 9)
    wanted = np.asarray(Image.fromarray(picture).convert("L"))
    assert np.array_equal(fit_to(picture, form(9, 9, 1))[..., 0], wanted)
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert np.array_equal(fit_to(np.repeat(every, 3, axis=2), form(16, 16, 1)), every)


def test_depth_goes_up_and_down_without_loss_of_eight_bits():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    deep = fit_to(every, form(16, 16, 1, 16))
    assert deep.dtype == np.uint16
    assert deep.max() == 65535
    assert np.array_equal(fit_to(deep, form(16, 16, 1, 8)), every)
    padded = fit_to(deep[:, :8], form(16, 16, 1, 16, crop="fit"))
    assert padded.shape == (16, 16, 1)
    assert padded[0, 0, 0] == 65535
    between = np.array([[[128], [129], [65406], [65407]]], np.uint16)
    assert fit_to(between, form(1, 4, 1)).ravel().tolist() == [0, 1, 254, 255]
    colour = np.repeat(deep, 3, axis=2)  # 16-bit colour goes by way of 8 bits
    assert np.array_equal(fit_to(colour, form(16, 16, 1, 16)), deep)
    assert fit_to(noise(8, 8, 4, np.uint16), form(4, 4, 1, 16)).dtype == np.uint16


# -- the sheet ---------------------------------------------------------------------------------


def shown(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_the_sheet_enlarges_small_pictures_by_whole_factors():
    digits = [np.full((8, 8), i * 10, np.uint8) for i in range(10)]
    digits[0][0, 0] = 255
    found = shown(sheet(digits))
    assert found.shape == (3 * 66 + 2, 4 * 66 + 2, 3)  # 4 columns of 64 pixels and gaps of 2
    assert (found[2:10, 2:10] == 255).all()  # one pixel became 8 x 8, and no neighbour
    assert (found[2:10, 10:18] == 0).all()
    assert (found[2 * 66 + 2 : 3 * 66, 66 + 2 : 2 * 66] == 90).all()  # the tenth
    assert (found[:2] == 128).all()


def test_the_sheet_is_capped_in_number_and_size():
    many = shown(sheet([np.zeros((28, 28), np.uint8)] * 1000))
    assert many.shape == (10 * 58 + 2, 10 * 58 + 2, 3)
    large = shown(sheet([noise(300, 900)] * 100))
    assert max(large.shape) <= 2048
    assert large.shape[1] > 1500
    wide = shown(sheet([noise(1, 20_000), noise(30, 20)]))
    assert max(wide.shape) <= 2048


def test_the_sheet_shows_every_kind_of_picture():
    kinds = [noise(5, 5, 1), noise(5, 5, 2), noise(5, 5, 3), noise(5, 5, 4), noise(5, 5, 1, np.uint16)]
    assert shown(sheet([*kinds, noise(4, 4, 3, np.uint16), noise(3, 9)[..., 0]])).ndim == 3
    clear = np.zeros((2, 2, 4), np.uint8)
    assert (shown(sheet([clear])) == 128).all()
    assert (shown(sheet([np.full((2, 2), 65535, np.uint16)]))[4, 4] == 255).all()


def test_a_person_may_allow_larger_pictures_than_pillow_does(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr("genwright.data.image.ops.MOST_PIXELS", 5000)
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((90, 80, 3), np.uint8)).save(path)
    assert "bomb" in refused(path).reason
    assert "--max-megapixels" in open_picture(path, "large.png", whole=True).reason
    found = open_picture(path, "large.png", whole=True, most=8000)
    assert found.pixels.shape[:2] == (90, 80)
    assert Image.MAX_IMAGE_PIXELS == 1000
