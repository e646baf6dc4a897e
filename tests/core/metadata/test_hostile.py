"""Damaged and hostile files: one MetadataError each, no hang, no allocation the file's own size does not explain."""

import io
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gesso.metadata import ImageMetadata, MetadataError, encode_image, read_image_metadata

TEXT = "a fox\nNegative prompt: ü\nSteps: 20, Sampler: Euler, Seed: 1"
PICTURE = Image.new("RGB", (16, 16), (10, 200, 30))
FILES = {name: encode_image(PICTURE, format=name, infotext=TEXT) for name in ("PNG", "JPEG", "WEBP", "AVIF", "GIF")}


def chunk(kind, data, length=None):
    size = len(data) if length is None else length
    return struct.pack(">I", size) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks, width=16, height=16):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def exif_jpeg(block):
    buffer = io.BytesIO()
    PICTURE.save(buffer, "JPEG", exif=b"Exif\0\0" + block)
    return buffer.getvalue()


def overlapping_exif():
    """4,000 fields that all point at the same 12 kilobytes: a reader that loads them all needs 50 megabytes."""
    entries = b"".join(struct.pack("<HHII", 0x010E + i, 7, 12_000, 8) for i in range(4000))
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 4000) + entries + b"\0\0\0\0"


def avif_meta(*boxes):
    def box(kind, body):
        return struct.pack(">I4s", len(body) + 8, kind) + body

    meta = b"\0\0\0\0" + b"".join(box(kind, body) for kind, body in boxes)
    return box(b"ftyp", b"avif\0\0\0\0") + box(b"meta", meta)


def avif_overlapping():
    """One Exif item in 60,000 extents over the same bytes."""
    size = b"\0\0\0\0\0\0\0\x0cispe"  # not reached: the extents are refused
    info = struct.pack(">4sH", b"\0\0\0\0", 1) + struct.pack(">I4s4sHH4s", 20, b"infe", b"\2\0\0\0", 7, 0, b"Exif")
    location = b"\0\0\0\0\x44\0" + struct.pack(">HHHH", 1, 7, 0, 60_000) + struct.pack(">II", 0, 400_000) * 60_000
    return avif_meta((b"iinf", info), (b"iloc", location)) + size


HOSTILE = {
    "empty": (b"", "no PNG, JPEG"),
    "text": (b"hello there, I am no picture", "no PNG, JPEG"),
    "signature only": (b"\x89PNG\r\n\x1a\n", "states no picture size"),
    "bomb": (png(width=2**31 - 1, height=2**31 - 1), "the limit is"),
    "wide bomb": (png(width=2**31 - 1, height=1), "the limit is"),
    "no width": (png(width=0), "damaged|states no picture size"),
    "header missing": (b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"parameters\0x"), "its header is missing"),
    "length of a header": (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"abc"), "its header is missing"),
    "text claims 2 GB": (png(chunk(b"tEXt", b"parameters\0x", length=2**31 - 1)), "in one piece"),
    "text cut off": (png(chunk(b"tEXt", b"parameters\0" + b"x" * 50))[:80], "cut off inside"),
    "17 MB of text": (png(chunk(b"tEXt", b"parameters\0" + b"x" * 17 * 2**20)), "in one piece"),
    "17 MB in pieces": (png(*[chunk(b"tEXt", b"k%d\0" % i + b"x" * 2**20) for i in range(17)]), "more than"),
    "zip bomb": (png(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"x" * 2**26))), "grows beyond"),
    "zip bomb in iTXt": (png(chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(b"x" * 2**26))), "grows beyond"),
    "broken zip": (png(chunk(b"zTXt", b"parameters\0\0nonsense")), "compressed text is damaged"),
    "half a zip": (png(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"x" * 999)[:-5])), "cut off"),
    "exif without header": (png(chunk(b"eXIf", b"nonsense")), "no TIFF header"),
    "exif pointing outside": (png(chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")), "points outside"),
    "exif field outside": (
        exif_jpeg(b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x010E, 2, 2**31, 0) + b"\0\0\0\0"), "points outside"
    ),
    "exif directory of itself": (
        exif_jpeg(b"II*\0" + struct.pack("<IHHHII", 8, 60_000, 0x8769, 4, 1, 8)), "points outside"
    ),
    "jpeg bomb": (b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff" + b"\0" * 20, "the limit is"),
    "jpeg without size": (b"\xff\xd8\xff\xd9" + b"\0" * 20, "states no picture size"),
    "jpeg of padding": (b"\xff\xd8" + b"\xff" * 2_000_000, "more than"),
    "jpeg cut off": (FILES["JPEG"][:60], "cut off inside"),
    "webp without size": (b"RIFF\xff\0\0\0WEBPJUNK\0\0\0\0", "states no picture size"),
    "webp exif claims 4 GB": (FILES["WEBP"][:30] + b"EXIF\xff\xff\xff\xff", "in one piece"),
    "gif bomb": (b"GIF89a\xff\xff\xff\xff\0\0\0;", "the limit is"),
    "gif without end": (b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1x" * 100_000, "more than"),
    "gif cut off": (FILES["GIF"][: FILES["GIF"].index(b"a fox") + 3], "cut off inside"),
    "avif without boxes": (b"\0\0\0\x10ftypavif\0\0\0\0", "no meta box"),
    "avif box of nothing": (b"\0\0\0\x10ftypavif\0\0\0\0" + b"\0\0\0\1meta" + b"\0" * 8, "damaged"),
    "avif box in box": (avif_meta((b"iprp", b"\xff\xff\xff\xffipco")), "larger than what holds it"),
    "avif overlapping extents": (avif_overlapping(), "more than"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_one_clear_error(name, tmp_path):
    data, message = HOSTILE[name]
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(MetadataError, match=message) as caught:
            read_image_metadata(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path))
    assert peak < 48 * 2**20


def test_overlapping_exif_fields_cost_nothing():
    data = exif_jpeg(overlapping_exif())
    tracemalloc.start()
    try:
        read_image_metadata(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("name", FILES)
def test_cut_anywhere(name):
    """A file cut off at any byte gives its metadata or one MetadataError."""
    data = FILES[name]
    complete = 0
    for end in range(len(data)):
        try:
            complete += read_image_metadata(data[:end]).infotext == TEXT
        except MetadataError:
            continue
    assert complete or name == "WEBP"  # what stands before the cut is not lost; WebP's text stands at the end


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 399), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_changed_bytes_never_raise_anything_else(name, changes):
    data = bytearray(FILES[name])
    for at, value in changes:
        data[at % len(data)] = value
    try:
        assert isinstance(read_image_metadata(bytes(data)), ImageMetadata)
    except MetadataError:
        pass


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_exif_block(block):
    try:
        read_image_metadata(png(chunk(b"eXIf", block)))
    except MetadataError:
        pass


def test_nothing_is_decoded():
    """Pixels that cannot be decoded do not matter."""
    data = png(chunk(b"tEXt", b"parameters\0kept"), chunk(b"IDAT", b"no zlib stream"), width=5000, height=5000)
    assert read_image_metadata(data).infotext == "kept"


def test_missing_file_and_folder_are_the_systems_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image_metadata(tmp_path / "none.png")
    with pytest.raises(OSError, match=r"[Dd]irectory|denied"):
        read_image_metadata(tmp_path)


def test_the_limit_can_be_raised():
    assert read_image_metadata(png(width=2**20, height=2**20), max_pixels=2**40).width == 2**20
