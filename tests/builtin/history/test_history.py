"""What the history tab asks for and does, over its routes; the browser test has the grid."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from gesso import Artifact, Job, ModelRef, Request
from gesso.jobs.claims import Batch
from gesso.testing import headless_page, load_host
from gesso_builtin.history import folder, ui
from gesso_builtin.history.routes import build


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page with three pictures in its history, with files for people."""
    outputs = tmp_path_factory.mktemp("outputs")
    with load_host(["history", "samplers"]) as host, headless_page(host) as found:
        queue = found.service.queue
        for number, prompt in enumerate(("a red cat", "a <b>dog</b>", "a red fox")):
            request = Request(prompt=prompt, sampler="euler", width=64, height=32)
            queue.submit(job := Job(request=request, model=ModelRef(role="checkpoint", name="shapes")))
            claim = queue.claim("w")
            buffer = io.BytesIO()
            Image.new("RGB", (64, 32), (number, 0, 0)).save(buffer, "PNG")
            ref = queue.store.files.put(buffer.getvalue(), "image/png")
            infotext = f"{prompt}\nSteps: 1, Sampler: Euler, CFG scale: 1, Seed: {number}, Size: 64x32"
            made = Artifact(kind="image", file=ref, meta={"infotext": infotext, "seed": number})
            queue.finish(claim, "done", Batch(artifacts=[(0, 0, made)], made=[0]))
            path = outputs / f"{number}.png"
            path.write_bytes(buffer.getvalue())
            queue.promise_path(queue.artifacts(job.id)[0].id, str(path))
        yield found


@pytest.fixture(scope="module")
def client(page: Any) -> TestClient:
    app = FastAPI()
    app.include_router(build(page.service))
    return TestClient(app)


def found(client: TestClient, query: str = "") -> list[int]:
    return [one["id"] for one in client.get(f"/pictures?{query}").json()["pictures"]]


def test_the_list_is_searched_and_filtered(client: TestClient) -> None:
    assert found(client) == [3, 2, 1]
    assert found(client, "q=red&offset=1") == [1]
    assert found(client, "sampler=euler&size=64x32&model=shapes&q=dog") == [2]
    assert found(client, "size=32x64") == []
    assert client.get("/pictures?limit=0").json() == {"total": 3, "stamp": "3-3", "pictures": []}
    newest = client.get("/pictures?limit=1").json()["pictures"][0]
    assert (newest["title"], newest["name"], newest["suffix"]) == ("a red fox", "2.png", ".png")
    values = client.get("/values").json()
    assert values["sampler"] == [{"value": "euler", "label": "Euler", "count": 3}]
    assert values["size"] == [{"value": "64x32", "label": "64 × 32", "count": 3}]
    whole = client.get("/pictures/1").json()
    assert whole["infotext"].startswith("a red cat\nSteps: 1")
    assert set(whole) >= {"file", "seed", "path", "job"}


def test_small_pictures_come_from_the_cache(client: TestClient, page: Any) -> None:
    sha256 = client.get("/pictures/1").json()["sha256"]
    answer = client.get(f"/thumb/{sha256}.webp")
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    assert Image.open(io.BytesIO(answer.content)).size == (64, 32)
    assert len(list(page.service.paths.cache.glob("thumbnails/*/*.webp"))) == 1
    assert client.get(f"/thumb/{'0' * 64}.webp").status_code == 404
    assert client.get("/thumb/nonsense.webp").status_code == 422


def test_the_trash(client: TestClient) -> None:
    path = Path(client.get("/pictures/2").json()["path"])
    assert client.post("/delete", json={"ids": [2]}).json() == {"deleted": [2]}
    assert (found(client), found(client, "trash=true"), path.exists()) == ([3, 1], [2], False)
    refused = client.post("/purge", json={"ids": [1]})
    assert (refused.status_code, "not in the trash" in refused.json()["detail"]) == (409, True)
    assert client.post("/restore", json={"ids": [2]}).json() == {"restored": [2]}
    assert (found(client), path.exists()) == ([3, 2, 1], True)
    assert client.post("/delete", json={"ids": [99]}).status_code == 404
    assert client.post("/delete", json={"ids": []}).status_code == 422


def test_the_folder_is_shown_where_there_is_a_desktop(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(folder.sys, "platform", "linux")
    answer = client.post("/pictures/1/open-folder")
    assert (answer.status_code, "no desktop" in answer.json()["detail"]) == (409, True)
    assert "0.png" in answer.json()["detail"]
    opener = tmp_path / "xdg-open"
    opener.write_text("#!/bin/sh\ntrue\n")
    opener.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert folder.opener(Path("/a/b.png")) == [str(opener), "/a"]
    monkeypatch.setattr(folder.sys, "platform", "darwin")
    assert folder.opener(Path("/a/b.png")) == ["open", "-R", "/a/b.png"]


def test_what_is_known_of_a_picture_is_text(page: Any) -> None:
    html = ui.about(page.service.history.get(2), "Euler")
    assert "a &lt;b&gt;dog&lt;/b&gt;" in html
    assert 'data-id="2"' in html
    assert "{{" not in ui.markup("grid.html") + ui.markup("viewer.html")


def test_the_tab_is_built_and_tells_which_picture_is_looked_at(page: Any) -> None:
    async def built() -> list[Any]:  # without a running event loop Gradio makes some and closes none
        with gr.Blocks(analytics_enabled=False) as blocks:
            ui.build(page)
        return list(blocks.fns.values())

    (pick,) = asyncio.run(built())
    data, html = pick.fn(SimpleNamespace(_data={"id": 1}))
    assert (data["seed"], data["file"]["type"]) == ("0", "image/png")
    assert "a red cat" in html
    data, html = pick.fn(SimpleNamespace(_data={"id": 77}))
    assert (data, 'role="alert"' in html) == ({}, True)
