"""Every format: the infotext in its place, read back equal, and good for making the picture once more."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import piexif
import piexif.helper
import pytest
from PIL import Image, features

from gesso.metadata import parse_infotext
from gesso.paths import Paths
from gesso.plugins.host import Host, Selection
from gesso.service import Service
from gesso.testing import local_plugins

FORMATS = ["png", "jpeg", "webp", "avif"]
MIMES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif"}
ASKED = {
    "prompt": "ein roter Kreis, 赤い丸 (blau:1.2),\n\"quoted\" — é🦊", "negative_prompt": "Stern: gelb, a, b",
    "steps": 2, "seed": 7, "width": 64, "height": 64, "sampler": "euler_ancestral", "scheduler": "karras",
    "cfg_scale": 3.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    paths = Paths.of(tmp_path_factory.mktemp("home"))
    made = Service(Host.load("both", home=paths.home), paths)
    yield made
    made.close()


def run(service: Service, fields: dict[str, Any], settings: dict[str, Any], told: list[Any] | None = None) -> Any:
    job = service.job(service.request(fields), settings=settings)
    return service.run(job, None if told is None else told.append)


def format_of(file: Path) -> str | None:
    with Image.open(file) as image:
        return image.format


def test_this_pillow_writes_them_all() -> None:
    assert all(features.check(name) for name in ("webp", "avif"))


@pytest.mark.parametrize("name", FORMATS)
def test_written_read_and_made_again(service: Service, tmp_path: Path, name: str) -> None:
    settings = {"outputs": {"format": name, "sidecar": True}}
    result = service.save(run(service, ASKED, settings), tmp_path)
    (artifact,), (file,) = result.artifacts, result.files
    assert artifact.file.type == MIMES[name]
    assert format_of(file) == {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}[name]
    found = service.read_picture(file)
    assert found.infotext == artifact.meta["infotext"]
    assert (found.source, found.width, found.height) == ("gesso", 64, 64)
    assert file.with_suffix(".txt").read_text(encoding="utf-8") == f"{found.infotext}\n"
    text = parse_infotext(found.infotext or "")
    assert (text.prompt, text.negative_prompt) == (ASKED["prompt"], ASKED["negative_prompt"])
    fields, unknown = service.reuse(found.infotext or "")
    assert unknown == {}
    again = run(service, fields, settings)
    assert again.artifacts[0].file == artifact.file, "the same picture, byte for byte"


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_where_a1111_looks_for_it(service: Service, name: str) -> None:
    """piexif is what A1111 writes and reads EXIF with."""
    result = run(service, ASKED, {"outputs": {"format": name}})
    data = service.executor.blobs.get(result.artifacts[0].file)
    block = Image.open(io.BytesIO(data)).info["exif"]
    comment = piexif.helper.UserComment.load(piexif.load(block)["Exif"][piexif.ExifIFD.UserComment])
    assert comment == result.artifacts[0].meta["infotext"]


def test_options_reach_the_file(service: Service) -> None:
    def size(settings: dict[str, Any]) -> int:
        return len(service.executor.blobs.get(run(service, ASKED, settings).artifacts[0].file))

    for name in ("jpeg", "webp", "avif"):
        chosen = {"outputs": {"format": name}}
        assert size({**chosen, f"format.{name}": {"quality": 10}}) < size({**chosen, f"format.{name}": {"quality": 95}})
    png, lossless = (
        run(service, ASKED, s) for s in ({}, {"outputs": {"format": "webp"}, "format.webp": {"lossless": True}})
    )
    pixels = [
        Image.open(io.BytesIO(service.executor.blobs.get(r.artifacts[0].file))).convert("RGB").tobytes()
        for r in (png, lossless)
    ]
    assert pixels[0] == pixels[1]


def test_what_a_format_cannot_hold_is_written_as_png(service: Service) -> None:
    told: list[Any] = []
    result = run(service, {**ASKED, "prompt": "a red circle # " + "x" * 40_000}, {"outputs": {"format": "jpeg"}}, told)
    assert result.artifacts[0].file.type == "image/png"
    assert ["JPEG holds 65,533" in e.data["message"] for e in told if e.kind == "warning"] == [True]
    told.clear()
    result = run(service, ASKED, {"outputs": {"format": "gone"}}, told)
    assert result.artifacts[0].file.type == "image/png"
    assert "no picture format 'gone'" in next(e.data["message"] for e in told if e.kind == "warning")


def test_settings_are_frozen_into_the_job(service: Service) -> None:
    record = service.sections()["outputs"]
    waiting = service.job(service.request(ASKED))
    service.settings.save("outputs", record(format="webp", name="[seed]-[steps]"))
    try:
        later = service.job(service.request(ASKED))
    finally:
        service.settings.save("outputs", record())
    assert (waiting.settings["outputs"]["format"], later.settings["outputs"]["format"]) == ("png", "webp")
    assert service.run(waiting).artifacts[0].file.type == "image/png"
    assert service.run(later).artifacts[0].file.type == "image/webp"


def test_without_the_plugin_pictures_are_the_same_png(service: Service, tmp_path: Path) -> None:
    here = run(service, ASKED, {}).artifacts[0].file
    selection = Selection(without=("outputs", "grid", "foreign_metadata"))
    with Host.load("both", home=tmp_path, selection=selection) as host:
        bare = Service(host, Paths.of(tmp_path))
        result = bare.save(bare.run(bare.job(bare.request(ASKED))))
        bare.close()
    assert result.artifacts[0].file == here
    assert [f.name for f in result.files] == ["00000-[seed].png"], "a token nobody brings stays as it is"


MINE = """
import io
from gesso import EncodeImageFn, FilenameToken, FilenameTokenFn, ImageFormat, MetadataError, Params
from gesso import hookimpl, lazy, param
api = "1"

class Options(Params):
    "Its options."
    loud: bool = param(False, label="Loud")

@hookimpl
def gesso_register_formats(registry):
    registry.add(ImageFormat(name="tiff", label="TIFF", aliases=("tif",), mime="image/tiff", suffix=".tiff",
                             encode=lazy("mine:tiff", EncodeImageFn), options=Options))

def tiff(image, infotext, options):
    if options.loud:
        raise MetadataError("Too loud.")
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", description=infotext.encode("ascii", "replace").decode())
    return buffer.getvalue()

@hookimpl
def gesso_register_filename_tokens(registry):
    registry.add(FilenameToken(name="mine", run=lazy("mine:token", FilenameTokenFn)))

def token(output, arguments):
    return f"../{output.index}:{','.join(arguments)}"
"""


def test_a_plugins_format_and_token(service: Service, tmp_path: Path) -> None:
    with local_plugins({"mine": MINE}) as host:
        mine = Service(host, Paths.of(tmp_path))
        chosen = {"outputs": {"format": "tif", "name": "[mine<a><b>]", "number": False, "folder": "[mine]/x"}}
        result = mine.save(run(mine, ASKED, chosen))
        assert format_of(result.files[0]) == "TIFF"
        assert result.files[0].relative_to(mine.outputs_folder()).as_posix() == ".._0_/x/.._0_a,b.tiff"
        told: list[Any] = []
        loud = run(mine, ASKED, {**chosen, "format.tiff": {"loud": True}}, told)
        assert loud.artifacts[0].file.type == "image/png"
        assert "Too loud." in next(e.data["message"] for e in told if e.kind == "warning")
        mine.close()
