"""Models as cards: found, searched, described by what stands beside the file, unloaded."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from gesso.testing import headless_page, load_host
from gesso_builtin.models_tab.routes import build


def write_model(path: Path) -> None:
    header = json.dumps({"lora_up.weight": {"dtype": "F16", "shape": [1, 1], "data_offsets": [0, 2]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with load_host(["models_tab", "demo_model", "stable_diffusion"]) as host, headless_page(host) as found:
        loras = found.service.paths.models / "loras"
        write_model(loras / "ink.safetensors")
        (loras / "ink.json").write_text(
            json.dumps({"activation text": "ink wash", "sd version": "SD1", "description": "Ink <b>lines</b>"})
        )
        Image.new("RGB", (400, 600), "red").save(loras / "ink.png")
        (loras / "old.ckpt").write_bytes(b"no pickle is read")
        yield found


@pytest.fixture(scope="module")
def client(page: Any) -> TestClient:
    app = FastAPI()
    app.include_router(build(page.service))
    return TestClient(app)


def test_a_card_says_what_is_known(client: TestClient, page: Any) -> None:
    shown = client.get("/list?role=lora").json()
    for part in ("ink</h3>", "SD1", "F16", "ink wash", "Ink &lt;b&gt;lines", "preview?role=lora&amp;name=ink",
                 "models_tab.no_hash", "models_tab.refused", "old.ckpt"):  # fmt: skip
        assert part in shown["list"]
    assert '<option value="lora" selected>' in shown["roles"]
    assert "models_tab.memory.none" in shown["memory"]
    entry = page.service.library.find("ink", "lora")
    digest = page.service.library.hash(entry)
    assert digest[:10] in client.get("/list?role=lora").json()["list"]


def test_search_and_stretches(client: TestClient) -> None:
    assert "old.ckpt" not in client.get("/list?role=lora&q=INK").json()["list"]
    assert "models_tab.none.found" in client.get("/list?role=lora&q=ink+nothing").json()["list"]
    assert 'data-do="more"' in client.get("/list?role=lora&limit=1").json()["list"]
    assert "models_tab.none" in client.get("/list?role=vae").json()["list"]


def test_previews_are_small_and_only_those_of_models(client: TestClient) -> None:
    answer = client.get("/preview?role=lora&name=ink")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert client.get("/preview?role=lora&name=old").status_code == 404
    assert client.get("/preview?role=lora&name=../../settings").status_code == 404


def test_a_rescan_finds_new_files(client: TestClient, page: Any) -> None:
    write_model(page.service.paths.models / "loras" / "new.safetensors")
    assert "new</h3>" not in client.get("/list?role=lora").json()["list"]
    assert "new</h3>" in client.post("/rescan", json={"role": "lora"}).json()["list"]


def test_what_is_in_memory_and_unload(client: TestClient, page: Any) -> None:
    """The worker itself is tested with the worker; here, that the button reaches it and the answer waits for it."""
    model = page.service.library.find("shapes")
    held = [page.service.library.hash(model)]
    page.service.worker = SimpleNamespace(loaded=lambda: tuple(held), unload=held.clear)
    try:
        shown = client.get("/list").json()
        assert "names=shapes" in shown["memory"]
        assert "models_tab.loaded" in shown["list"]
        shown = client.post("/unload", json={}).json()
        assert "models_tab.memory.none" in shown["memory"]
        assert "models_tab.loaded" not in shown["list"]
    finally:
        del page.service.worker
