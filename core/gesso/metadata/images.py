"""Pictures to files and bytes with their infotext inside, and the way back.

Where the infotext stands: PNG text chunk `parameters`; EXIF UserComment in JPEG, WebP and AVIF; the comment of a GIF -
the places A1111 and everything since reads. Writing is Pillow's; reading decodes no pixel (see containers.py).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gesso.files import write_new, write_whole
from gesso.metadata.containers import MAX_TEXT, Container, read_container
from gesso.metadata.errors import MetadataError
from gesso.metadata.exif import (
    DESCRIPTION,
    MAKE,
    MODEL,
    USER_COMMENT,
    ascii_text,
    build_exif,
    read_tags,
    user_comment_text,
)
from gesso.metadata.foreign import convert, dialect, json_object
from gesso.metadata.infotext import parse_infotext

if TYPE_CHECKING:
    from PIL import Image

    from gesso.contributions import MetadataReader

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".avif": "AVIF", ".gif": "GIF"}
MAX_PIXELS = 2**29  # a grid of 500 one-megapixel pictures; more is a bomb for whoever decodes it next
MAX_STEALTH_PIXELS = 2**26
MAX_SIDECAR = 2**20  # bytes

_KEYWORD = "parameters"
_MODES = {  # what each format holds as it is; the rest is converted to RGB(A)
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"},
    "JPEG": {"L", "RGB", "CMYK"},
    "WEBP": {"RGB", "RGBA"},
    "AVIF": {"RGB", "RGBA"},
    "GIF": {"1", "L", "P", "RGB", "RGBA"},
}
# What A1111 keeps out of its list of items: technical, and of no use as text.
_HIDDEN = {
    "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif", "loop", "background", "timestamp", "duration",
    "progressive", "progression", "icc_profile", "chromaticity", "photoshop",
}  # fmt: skip


# --- writing ----------------------------------------------------------------------------------------------------------


def encode_image(
    image: Image.Image,
    *,
    format: str = "PNG",
    infotext: str | None = None,
    extra: Mapping[str, str] | None = None,
    quality: int = 80,
    lossless: bool = False,
    options: Mapping[str, Any] | None = None,
) -> bytes:
    """A picture as the bytes of a file, its infotext inside.

    Args:
        image: any mode; converted to what the format holds (JPEG drops transparency).
        format: PNG, JPEG, WEBP, AVIF or GIF.
        infotext: see `format_infotext`; None writes none.
        extra: more texts by keyword. PNG holds each as a chunk, JPEG, WebP and AVIF as one JSON object in the EXIF
            description; GIF has no room for them.
        quality: 1 to 100, for JPEG, WebP and AVIF.
        lossless: for WebP. PNG always is.
        options: more of Pillow's own for the format (`compress_level`, `subsampling`, `speed`).

    Raises:
        MetadataError: the format cannot hold what is asked; nothing is left out silently.
    """
    format = _format_name(format)
    extra = {key: _storable(value) for key, value in (extra or {}).items()}
    infotext = _storable(infotext) if infotext else None
    if sum(map(len, [infotext or "", *extra.values()])) * 4 > MAX_TEXT:
        raise MetadataError(f"The infotext is longer than any reader takes (about {MAX_TEXT // 4:,} characters).")
    if not 1 <= quality <= 100:
        raise MetadataError(f"Quality {quality} is not between 1 and 100.")
    if lossless and format not in ("PNG", "WEBP"):
        raise MetadataError(f"{format} cannot be lossless.", hint="Use PNG or WebP.")
    written = {**(options or {}), **_text_options(format, infotext, extra)}
    if format in ("JPEG", "WEBP", "AVIF"):
        written |= {"quality": quality} | ({"lossless": lossless} if format == "WEBP" else {})
    buffer = io.BytesIO()
    try:
        _fitted(image, format).save(buffer, format, **written)
    except (OSError, ValueError, KeyError) as error:  # too large for the format, or a Pillow built without its codec
        size = f"{image.width}x{image.height}"
        raise MetadataError(f"This {size} picture cannot be written as {format}: {error}.") from error
    return buffer.getvalue()


def save_image(
    image: Image.Image,
    path: str | Path,
    *,
    infotext: str | None = None,
    extra: Mapping[str, str] | None = None,
    format: str | None = None,
    quality: int = 80,
    lossless: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a picture whole: it appears under `path` complete or not at all. The rest as `encode_image`.

    `format` defaults to what the suffix of `path` says.

    Raises:
        FileExistsError: there is a file already and `overwrite` is off.
        MetadataError: as `encode_image`, or an unknown suffix.
        OSError: the folder is missing, the disk full.
    """
    path = Path(path)
    if format is None:
        format = FORMATS.get(path.suffix.lower())
        if format is None:
            raise MetadataError(f"{path.name}: no known picture format.", hint=f"Known: {', '.join(FORMATS)}.")
    data = encode_image(image, format=format, infotext=infotext, extra=extra, quality=quality, lossless=lossless)
    _write(path, data, overwrite=overwrite)
    return path


def save_sidecar(image_path: str | Path, infotext: str, *, overwrite: bool = False) -> Path:
    """Write the infotext beside a picture, as `<name>.txt`. Raises as `save_image`."""
    path = Path(image_path).with_suffix(".txt")
    _write(path, (_storable(infotext) + "\n").encode(), overwrite=overwrite)
    return path


def _format_name(format: str) -> str:
    name = FORMATS.get("." + format.lower().removeprefix("."))
    if name is None:
        raise MetadataError(f"{format!r} is no format pictures are written in.", hint=f"Known: {', '.join(_MODES)}.")
    return name


def _storable(text: str) -> str:
    """Without what no picture format holds: NUL, and lone surrogates (which become question marks)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _text_options(format: str, infotext: str | None, extra: Mapping[str, str]) -> dict[str, Any]:
    """Pillow's options that put the texts where readers look."""
    if format == "PNG":
        return {"pnginfo": _png_info({_KEYWORD: infotext} | dict(extra) if infotext else extra)}
    if format == "GIF":
        if extra:
            raise MetadataError(f"GIF holds the infotext only, not {', '.join(extra)}.", hint="Use PNG.")
        return {"comment": (infotext or "").encode()}
    exif = build_exif(infotext, extra)
    if format == "JPEG" and len(exif) > 65_533:  # one segment; its length is a 16-bit number that counts itself
        raise MetadataError(
            f"The infotext needs {len(exif):,} bytes and JPEG holds 65,533.", hint="Use PNG or WebP, or a sidecar."
        )
    return {"exif": exif} if exif else {}


def _png_info(texts: Mapping[str, str]) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in texts.items():
        if not (0 < len(key) < 80 and key.isascii() and key.isprintable() and key == key.strip()):
            raise MetadataError(f"{key!r} cannot be a PNG keyword.", hint="Use 1 to 79 printable ASCII characters.")
        if value.isascii():
            info.add_text(key, value)
        else:
            info.add_itxt(key, value)
    return info


def _fitted(image: Image.Image, format: str) -> Image.Image:
    """`image` in a mode the format holds, without the metadata of whatever it was loaded from."""
    if image.mode in _MODES[format]:
        fitted = image.copy()
    elif image.mode.startswith(("I", "F")):
        raise MetadataError(f"{format} does not hold {image.mode} pixels.", hint="Convert the picture to 8 bits first.")
    else:
        alpha = image.has_transparency_data and "RGBA" in _MODES[format]
        fitted = image.convert("RGBA" if alpha else "RGB")
    fitted.info = {key: value for key, value in image.info.items() if key in ("icc_profile", "transparency")}
    if format == "JPEG" or fitted.mode == "RGBA":
        fitted.info.pop("transparency", None)
    return fitted


def _write(path: Path, data: bytes, *, overwrite: bool) -> None:
    (write_whole if overwrite else write_new)(path, data)


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImageMetadata:
    """What a picture says about itself. Sizes in pixels.

    Attributes:
        infotext: in A1111's form, whichever program wrote the picture; None if it says nothing.
        source: that program: a1111, civitai, comfyui, forge, gesso, invokeai, novelai, sdnext, swarmui, the name of a
            plugin's reader, or `sidecar` where the text stood beside the picture.
        items: the other texts by keyword, and the original of an infotext that had to be converted.
        format: PNG, JPEG, WEBP, AVIF or GIF.
    """

    infotext: str | None
    source: str | None
    items: dict[str, str] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    format: str = ""


def read_image_metadata(
    source: str | Path | bytes,
    *,
    stealth: bool = False,
    sidecar: bool = True,
    readers: Iterable[MetadataReader] = (),
    max_pixels: int = MAX_PIXELS,
) -> ImageMetadata:
    """Read a picture's texts without decoding it.

    Args:
        source: a path, or the file's bytes.
        stealth: where there is no text, look into the pixels' lowest bits (decodes up to MAX_STEALTH_PIXELS).
        sidecar: where there is still none and `source` is a path, read `<name>.txt` if that is an infotext.
        readers: who understands other programs' metadata, in order; `Service.read_picture` takes all there are.
        max_pixels: pictures that claim to be larger are refused.

    Raises:
        MetadataError: no picture, damaged, or beyond a limit. One message that names the file.
        OSError: the file cannot be opened.
    """
    name = "The picture" if isinstance(source, bytes) else str(source)
    readers = tuple(readers)
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as fp:
            found = read_container(fp)
            if found.width * found.height > max_pixels:
                raise MetadataError(f"it claims {found.width}x{found.height} pixels; the limit is {max_pixels:,}.")
            metadata = _classified(found, _texts(found), readers)
            if metadata.infotext is None and stealth and (hidden := _stealth_text(fp, found)):
                metadata = _classified(found, metadata.items | {_KEYWORD: hidden}, readers)
    except MetadataError as error:
        raise MetadataError(f"{name}: {error}") from error
    if metadata.infotext is None and sidecar and not isinstance(source, bytes):
        text = read_sidecar(source)
        if text and parse_infotext(text).params:  # else a caption, as training sets have beside their pictures
            return ImageMetadata(text, "sidecar", metadata.items, found.width, found.height, found.format)
    return metadata


def read_sidecar(image_path: str | Path) -> str | None:
    """The text of `<name>.txt` beside a picture; None if there is none or it is longer than a megabyte."""
    path = Path(image_path).with_suffix(".txt")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIDECAR + 1)
    except OSError:
        return None
    return data.decode("utf-8-sig", "replace").strip() if len(data) <= MAX_SIDECAR else None


def _texts(found: Container) -> dict[str, str]:
    """All texts by keyword; under `parameters` the one A1111 would read: chunk < EXIF UserComment, else the comment."""
    items = {key: text for key, text in found.text.items() if key not in _HIDDEN}
    try:
        tags = read_tags(found.exif) if found.exif else {}
    except MetadataError:
        if _KEYWORD not in items:
            raise
        tags = {}
    if comment := user_comment_text(tags.get(USER_COMMENT, b"")).strip():
        items[_KEYWORD] = comment
    for tag, name in ((MAKE, "Make"), (MODEL, "Model"), (DESCRIPTION, "Description")):
        if text := ascii_text(tags.get(tag, b"")):
            items = _described(name, text) | items
    if found.comment:
        text = found.comment.decode("utf-8", "ignore").strip("\0")
        if _KEYWORD not in items and (found.format == "GIF" or parse_infotext(text).params):
            items[_KEYWORD] = text
        else:
            items["comment"] = text
    return items


def _described(name: str, text: str) -> dict[str, str]:
    """The items in an EXIF field: ComfyUI's `prompt:{...}`, our JSON object, or just a text."""
    key, colon, value = text.partition(":")
    if colon and key in ("prompt", "workflow"):
        return {key: value}
    with suppress(ValueError, RecursionError):
        if texts := {k: v for k, v in json_object(text).items() if isinstance(v, str)}:
            return texts
    return {name: text}


def _classified(found: Container, items: dict[str, str], readers: Iterable[MetadataReader]) -> ImageMetadata:
    """Decide whose text it is. Only what begins like JSON, or is missing, goes to the readers of other programs."""
    size = found.width, found.height
    text = items.get(_KEYWORD, "").strip()
    if (not text or text.startswith("{")) and (foreign := convert(items, size, readers)):
        source, infotext = foreign
        return ImageMetadata(infotext, source, items, *size, found.format)
    if not text:
        return ImageMetadata(None, None, items, *size, found.format)
    others = {key: value for key, value in items.items() if key != _KEYWORD}
    return ImageMetadata(text, dialect(parse_infotext(text)), others, *size, found.format)


def _stealth_text(fp: BinaryIO, found: Container) -> str | None:
    from PIL import Image

    from gesso.metadata.stealth import read_stealth

    if found.format not in ("PNG", "WEBP"):  # the others do not keep the lowest bits
        return None
    if found.width * found.height > MAX_STEALTH_PIXELS:
        raise MetadataError(f"it has more than {MAX_STEALTH_PIXELS:,} pixels, too many to search for hidden text.")
    fp.seek(0)
    try:
        with Image.open(fp, formats=(found.format,)) as image:
            return read_stealth(image)
    except MetadataError:
        raise
    except Exception as error:  # Pillow raises a dozen kinds for damaged pictures
        raise MetadataError(f"its pixels cannot be decoded: {error}.") from error
