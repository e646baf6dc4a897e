"""Pictures people bring: whatever they are, upright and of 8 bits, or one clear error."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gesso import BadFileError, InvalidInputError, flattened, open_picture, picture_size, picture_type, resize_picture
from gesso.pictures import MAX_PIXELS


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is large and has hardly a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_opens(format: str) -> None:
    data = encoded(Image.new("RGB", (20, 10), (200, 30, 30)), format)
    image = open_picture(data)
    assert (image.size, picture_size(data)) == ((20, 10), (20, 10))
    assert picture_type(data) == f"image/{format.lower()}"
    assert image.convert("RGB").getpixel((5, 5))[0] > 190


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [("1", "L"), ("L", "L"), ("LA", "RGBA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("I;16", "L")],
)
def test_every_mode_becomes_eight_bits(mode: str, becomes: str) -> None:
    assert open_picture(encoded(Image.new(mode, (4, 4)))).mode == becomes


def test_sixteen_bits_keep_their_brightness() -> None:
    values = np.array([[0, 257 * 128, 65535]], dtype=np.uint16)
    image = open_picture(encoded(Image.fromarray(values)))
    assert np.abs(np.asarray(image, int) - [0, 128, 255]).max() <= 1


def test_a_turned_photo_is_upright() -> None:
    image = Image.new("RGB", (20, 10), "blue")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to the right
    image.putpixel((0, 0), (255, 255, 255))
    data = encoded(image, "PNG", exif=exif)
    opened = open_picture(data)
    assert opened.size == picture_size(data) == (10, 20)
    assert opened.getpixel((9, 0)) == (255, 255, 255)


def test_transparency_shows_the_background() -> None:
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
    image.putpixel((1, 0), (10, 20, 30, 0))
    flat = flattened(image, "#ff0000")
    assert [flat.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (255, 0, 0)]
    with pytest.raises(InvalidInputError, match="no colour"):
        flattened(image, "reddish-brownish")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"hello, this is no picture", b"%PDF-1.4", b"<svg></svg>"])
def test_what_is_no_picture_is_one_error(data: bytes) -> None:
    for look in (open_picture, picture_size, picture_type):
        with pytest.raises(BadFileError, match="no picture gesso can open"):
            look(data)


def test_a_damaged_picture_is_one_error() -> None:
    whole = encoded(Image.effect_noise((200, 200), 80).convert("RGB"))
    with pytest.raises(BadFileError, match="is damaged"):
        open_picture(whole[: len(whole) // 2])


@pytest.mark.parametrize("size", [(9000, 9000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_picture_is_refused_by_its_header(size: tuple[int, int]) -> None:
    assert size[0] * size[1] > MAX_PIXELS
    for look in (open_picture, picture_size, picture_type):
        with pytest.raises(BadFileError, match=r"too large|no picture") as error:
            look(bomb(*size))
        assert len(str(error.value)) < 200


def test_stretched_cropped_filled() -> None:
    """A picture of three stripes, 60 × 20, brought to 40 × 40."""
    image = Image.new("RGB", (60, 20))
    for i, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255))):
        image.paste(colour, (20 * i, 0, 20 * i + 20, 20))
    middle = {m: resize_picture(image, (40, 40), m) for m in ("Just resize", "Crop and resize", "Resize and fill")}
    assert {m.size for m in middle.values()} == {(40, 40)}
    assert middle["Just resize"].getpixel((2, 20)) == (255, 0, 0)
    assert middle["Just resize"].getpixel((38, 2)) == (0, 0, 255)
    assert np.abs(np.asarray(middle["Crop and resize"], int)[20, 10:30] - [0, 255, 0]).max() == 0
    filled = np.asarray(middle["Resize and fill"], int)
    assert (filled[0] == filled[13]).all()  # the bar above repeats the first line
    assert (filled[39] == filled[26]).all()
    assert np.abs(filled[0, 3] - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("mode", ["Just resize", "Crop and resize", "Resize and fill"])
@pytest.mark.parametrize("size", [(64, 64), (8, 512), (512, 8), (33, 57)])
@pytest.mark.parametrize("source", [(1, 1), (64, 64), (3, 300), (300, 3), (57, 33)])
def test_any_size_to_any_size(mode: str, size: tuple[int, int], source: tuple[int, int]) -> None:
    image = Image.new("RGB", source, (9, 9, 9))
    made = np.asarray(resize_picture(image, size, mode))  # type: ignore[arg-type]
    assert made.shape == (size[1], size[0], 3)
    assert (made == 9).all()  # nothing is left unpainted


def test_the_same_size_is_the_same_picture() -> None:
    image = Image.effect_noise((40, 24), 60).convert("RGB")
    assert resize_picture(image, (40, 24), "Resize and fill") is image
