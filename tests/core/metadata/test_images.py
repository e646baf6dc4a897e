"""Every format's way out and back, the places other programs look, and files written whole."""

import io
import json
import os
import struct

import piexif
import piexif.helper
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gesso.metadata import (
    FORMATS,
    MetadataError,
    encode_image,
    format_infotext,
    read_image_metadata,
    read_sidecar,
    save_image,
    save_sidecar,
)

INFOTEXT = format_infotext(
    "a füchs, 東京 🦊", "blurry", {"Steps": 20, "Sampler": "Euler", "Seed": 1, "Version": "gesso 1.0"}
)
NAMES = ["PNG", "JPEG", "WEBP", "AVIF", "GIF"]


@pytest.fixture
def picture():
    image = Image.new("RGB", (24, 16), (200, 30, 30))
    image.paste((30, 30, 200), (0, 0, 12, 8))
    return image


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [INFOTEXT, "plain ascii\nSteps: 1, Seed: 2, Size: 24x16", "just a prompt"])
def test_round_trip(picture, name, text):
    read = read_image_metadata(encode_image(picture, format=name, infotext=text))
    assert (read.infotext, read.format, read.width, read.height) == (text, name, 24, 16)
    assert read.source == ("gesso" if text is INFOTEXT else "a1111")


@pytest.mark.parametrize("name", NAMES)
def test_without_infotext(picture, name):
    read = read_image_metadata(encode_image(picture, format=name))
    assert (read.infotext, read.source, read.items) == (None, None, {})


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_extra_texts(picture, name):
    extra = {"postprocessing": "upscaled ×4", "gesso": json.dumps({"a": 1})}
    read = read_image_metadata(encode_image(picture, format=name, infotext=INFOTEXT, extra=extra))
    assert (read.infotext, read.items) == (INFOTEXT, extra)


@settings(max_examples=40, deadline=None)
@given(
    st.text(alphabet=st.characters(exclude_categories=()), min_size=1).map(str.strip).filter(lambda t: t.strip("\0"))
)
def test_any_text_survives_every_format(text):
    image = Image.new("RGB", (4, 4))
    expected = text.encode("utf-8", "replace").decode().replace("\0", "").strip()
    if expected.startswith("{"):
        return  # may be another program's JSON
    for name in NAMES:
        assert (read_image_metadata(encode_image(image, format=name, infotext=text)).infotext or "") == expected


# --- where others look ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["ascii only", INFOTEXT])
def test_png_chunk_is_what_pillow_programs_read(picture, text):
    assert Image.open(io.BytesIO(encode_image(picture, infotext=text))).text["parameters"] == text


@pytest.mark.parametrize("name", ["JPEG", "WEBP"])
def test_user_comment_is_what_piexif_programs_read(picture, name):
    data = encode_image(picture, format=name, infotext=INFOTEXT)
    exif = piexif.load(Image.open(io.BytesIO(data)).info["exif"])
    assert piexif.helper.UserComment.load(exif["Exif"][piexif.ExifIFD.UserComment]) == INFOTEXT


def test_what_piexif_programs_write_is_read(picture, tmp_path):
    comment = piexif.helper.UserComment.dump(INFOTEXT, encoding="unicode")
    path = tmp_path / "a.jpg"
    picture.save(path, exif=piexif.dump({"Exif": {piexif.ExifIFD.UserComment: comment}}))
    assert read_image_metadata(path).infotext == INFOTEXT


@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + INFOTEXT.encode("utf-16-le"),
        b"UNICODE\0" + b"\xff\xfe" + INFOTEXT.encode("utf-16-le"),
        b"ASCII\0\0\0" + INFOTEXT.encode(),
        b"\0" * 8 + INFOTEXT.encode() + b"\0",
        INFOTEXT.encode(),
    ],
    ids=["little-endian", "byte-order-mark", "ascii-prefix", "undefined", "bare"],
)
def test_user_comment_in_every_encoding_programs_use(picture, comment):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=piexif.dump({"Exif": {piexif.ExifIFD.UserComment: comment}}))
    assert read_image_metadata(buffer.getvalue()).infotext == INFOTEXT


@pytest.mark.parametrize("mark", ["<", ">"])
def test_exif_in_both_byte_orders(picture, mark):
    body = b"UNICODE\0" + "x: 1".encode("utf-16-be")
    head = {"<": b"II*\0", ">": b"MM\0*"}[mark] + struct.pack(mark + "I", 8)
    main = struct.pack(mark + "HHHII", 1, 0x8769, 4, 1, 26) + struct.pack(mark + "I", 0)
    exif = struct.pack(mark + "HHHII", 1, 0x9286, 7, len(body), 44) + struct.pack(mark + "I", 0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=b"Exif\0\0" + head + main + exif + body)
    assert read_image_metadata(buffer.getvalue()).infotext == "x: 1"


def test_user_comment_overrides_the_chunk_and_bad_exif_does_not(picture):
    info = PngInfo()
    info.add_text("parameters", "from the chunk")
    exif = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump("from exif", "unicode")}})
    for block, expected in ((exif, "from exif"), (b"Exif\0\0II*\0\xff\xff\xff\xff", "from the chunk")):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", pnginfo=info, exif=block)
        assert read_image_metadata(buffer.getvalue()).infotext == expected


def test_text_after_the_pixels_is_found_and_compressed_text_too(picture):
    info = PngInfo()
    info.add_text("parameters", INFOTEXT.encode("ascii", "ignore").decode(), zip=True)
    info.add_itxt("note", "ü" * 500, zip=True)
    info.add(b"tEXt", b"late\0value", after_idat=True)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    read = read_image_metadata(buffer.getvalue())
    assert read.infotext.startswith("a fchs")
    assert read.items == {"note": "ü" * 500, "late": "value"}


def test_utf8_in_a_latin1_chunk(picture):
    info = PngInfo()
    info.add(b"tEXt", b"parameters\0" + "füchs".encode())
    info.add(b"tEXt", b"other\0" + "füchs".encode("latin-1"))
    info.add(b"tEXt", b"dpi\0hidden")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    read = read_image_metadata(buffer.getvalue())
    assert (read.infotext, read.items) == ("füchs", {"other": "füchs"})


def test_jpeg_comment_counts_only_if_it_is_an_infotext(picture):
    for comment, infotext in (
        (b"CREATOR: gd", None),
        (b"p\nSteps: 1, Seed: 2, Size: 1x1", "p\nSteps: 1, Seed: 2, Size: 1x1"),
    ):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", comment=comment)
        assert read_image_metadata(buffer.getvalue()).infotext == infotext


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_sizes_in_all_three_layouts(lossless, mode):
    image = Image.new(mode, (321, 123), (1, 2, 3, 4)[: len(mode)])
    for infotext in (None, INFOTEXT):
        read = read_image_metadata(encode_image(image, format="webp", lossless=lossless, infotext=infotext))
        assert (read.width, read.height, read.infotext) == (321, 123, infotext)


def test_animated_files_are_read(picture):
    frames = [Image.new("RGB", (24, 16), (i * 40, 0, 0)) for i in range(4)]
    for name in ("GIF", "WEBP", "AVIF", "PNG"):
        buffer = io.BytesIO()
        picture.save(buffer, name, save_all=True, append_images=frames)
        read = read_image_metadata(buffer.getvalue())
        assert (read.format, read.width, read.height) == (name, 24, 16)


# --- pixels and modes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("name", NAMES)
def test_every_eight_bit_mode_is_written(mode, name):
    data = encode_image(Image.new("RGB", (8, 8), (250, 10, 10)).convert(mode), format=name, infotext=INFOTEXT)
    back = Image.open(io.BytesIO(data))
    back.load()
    assert back.size == (8, 8)
    assert read_image_metadata(data).infotext == INFOTEXT


def test_pixels_are_kept_by_lossless_formats():
    image = Image.frombytes("RGBA", (16, 16), os.urandom(16 * 16 * 4))
    image.putalpha(255)
    for name in ("PNG", "WEBP"):
        back = Image.open(io.BytesIO(encode_image(image, format=name, lossless=True, infotext=INFOTEXT))).convert(
            "RGBA"
        )
        assert back.tobytes() == image.tobytes()


def test_quality_matters():
    image = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
    for name in ("JPEG", "WEBP", "AVIF"):
        assert len(encode_image(image, format=name, quality=30)) < len(encode_image(image, format=name, quality=95))


def test_metadata_of_a_loaded_picture_does_not_leak(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", comment=b"private", exif=piexif.dump({"0th": {piexif.ImageIFD.Make: b"camera"}}))
    loaded = Image.open(buffer)
    for name in NAMES:
        data = encode_image(loaded, format=name)
        assert b"private" not in data
        assert b"camera" not in data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "BMP"}, "Known: PNG, JPEG"),
        ({"format": "JPEG", "lossless": True}, "cannot be lossless"),
        ({"format": "JPEG", "quality": 0}, "between 1 and 100"),
        ({"format": "JPEG", "infotext": "x" * 40_000}, "JPEG holds 65,533"),
        ({"format": "PNG", "infotext": "x" * 5_000_000}, "longer than any reader takes"),
        ({"format": "GIF", "extra": {"a": "b"}}, "GIF holds the infotext only"),
        ({"format": "PNG", "extra": {"": "b"}}, "PNG keyword"),
        ({"format": "PNG", "extra": {"k" * 80: "b"}}, "PNG keyword"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(picture, options, message):
    with pytest.raises(MetadataError, match=message):
        encode_image(picture, **options)


def test_pictures_a_format_cannot_hold_are_refused():
    with pytest.raises(MetadataError, match="cannot be written as WEBP"):
        encode_image(Image.new("L", (16384, 1)), format="WEBP")
    with pytest.raises(MetadataError, match="8 bits"):
        encode_image(Image.new("I;16", (4, 4)), format="JPEG")


# --- files ------------------------------------------------------------------------------------------------------------


def test_format_follows_the_suffix(picture, tmp_path):
    for suffix, name in FORMATS.items():
        path = save_image(picture, tmp_path / f"picture{suffix}", infotext=INFOTEXT)
        assert read_image_metadata(path).format == name
    with pytest.raises(MetadataError, match=r"a\.xyz"):
        save_image(picture, tmp_path / "a.xyz")


def test_nothing_is_overwritten_unless_asked(picture, tmp_path):
    path = tmp_path / "a.png"
    save_image(picture, path, infotext="first")
    with pytest.raises(FileExistsError, match="already"):
        save_image(picture, path, infotext="second")
    assert read_image_metadata(path).infotext == "first"
    save_image(picture, path, infotext="second", overwrite=True)
    assert read_image_metadata(path).infotext == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_nothing_is_overwritten_without_hard_links(picture, tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError("this file system has none")

    monkeypatch.setattr(os, "link", no_links)
    path = save_image(picture, tmp_path / "a.png", infotext="first")
    with pytest.raises(FileExistsError):
        save_image(picture, path, infotext="second")
    assert read_image_metadata(path).infotext == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_failed_write_leaves_nothing(picture, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_image(picture, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_file_mode_follows_the_umask(picture, tmp_path):
    reference = tmp_path / "reference"
    reference.write_bytes(b"")
    path = save_image(picture, tmp_path / "a.png")
    assert path.stat().st_mode == reference.stat().st_mode


def test_sidecar(picture, tmp_path):
    path = save_image(picture, tmp_path / "a.png")
    assert read_sidecar(path) is None
    save_sidecar(path, INFOTEXT)
    assert read_sidecar(path) == INFOTEXT
    read = read_image_metadata(path)
    assert (read.infotext, read.source, read.width) == (INFOTEXT, "sidecar", 24)
    assert read_image_metadata(path, sidecar=False).infotext is None
    with pytest.raises(FileExistsError):
        save_sidecar(path, "other")


def test_a_caption_is_no_sidecar(picture, tmp_path):
    path = save_image(picture, tmp_path / "a.png")
    path.with_suffix(".txt").write_text("a photo of a cat, sitting")
    assert read_image_metadata(path).infotext is None
