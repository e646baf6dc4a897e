"""The task reads every file, names what is broken, and leaves its hashes where the model list finds them."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gesso.jobs.tasks import task_job
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso.types import JobEvent


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters: a good one, one with NaN, a truncated one, one that states another hash; a pickle."""
    home = tmp_path_factory.mktemp("home")
    folder = Paths.of(home).models / "loras"
    folder.mkdir(parents=True)
    save_file({"a.diff": torch.ones(64, 64), "i.diff": torch.arange(9)}, folder / "good.safetensors")
    save_file({"a.diff": torch.ones(8), "b.diff": torch.tensor([1.0, float("nan")]).half()}, folder / "nan.safetensors")
    save_file({"f.diff": torch.ones(8).to(torch.float8_e4m3fn)}, folder / "fp8.safetensors")
    whole = (folder / "good.safetensors").read_bytes()
    (folder / "short.safetensors").write_bytes(whole[:-100])
    (folder / "old.pt").write_bytes(b"\x80\x02}q\x00." + bytes(90))
    stated = "0x" + hashlib.sha256(whole[8 + struct.unpack("<Q", whole[:8])[0] :]).hexdigest()
    save_file({"a.diff": torch.ones(64, 64), "i.diff": torch.arange(9)}, folder / "stated.safetensors",
              {"modelspec.hash_sha256": stated})  # fmt: skip
    save_file({"a.diff": torch.zeros(64, 64), "i.diff": torch.arange(9)}, folder / "swapped.safetensors",
              {"modelspec.hash_sha256": stated})  # fmt: skip
    return home


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    host = Host.load("both", home=home)
    yield Service(host, Paths.of(home))
    host.close()


def verify(service: Service, **fields: Any) -> tuple[dict[str, Any], list[JobEvent]]:
    events: list[JobEvent] = []
    service.run(task_job(service, "verify_models", {"role": "lora", **fields}), events.append)
    return next(event.data["result"] for event in events if event.kind == "result"), events


def test_it_finds_what_is_broken_and_nothing_else(service: Service) -> None:
    result, events = verify(service)
    problems = {row["name"]: row["problem"] for row in result["models"]}
    assert {name for name, problem in problems.items() if problem} == {"nan", "short", "old", "swapped"}
    assert problems["nan"] == "1 tensors hold NaN or infinity, such as b.diff."
    assert "pickle" in problems["old"]
    assert "metadata states" in problems["swapped"]
    assert result["ok"] is False
    told = [event.data for event in events if event.kind == "progress" and event.data["stage"] == "verify"]
    assert all(a["done"] <= b["done"] <= b["total"] for a, b in pairwise(told))


def test_hashes_are_the_files_and_the_list_has_them(service: Service, home: Path) -> None:
    result, _ = verify(service, models="good", values=False)
    (row,) = result["models"]
    path = Paths.of(home).models / "loras" / "good.safetensors"
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert row["AutoV2"] == row["sha256"][:10]
    entry = service.library.find("good", "lora")
    assert entry.short_hash == row["AutoV2"]


def test_content_that_changed_behind_an_old_date_is_told(service: Service, home: Path) -> None:
    path = Paths.of(home).models / "loras" / "good.safetensors"
    verify(service, models=["good"])
    data, times = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    result, _ = verify(service, models=["good"], values=False)
    assert "the disk may be failing" in result["models"][0]["problem"]


def test_no_models_is_a_sentence(tmp_path: Path) -> None:
    host = Host.load("both", home=tmp_path)
    try:
        result, _ = verify(Service(host, Paths.of(tmp_path)), role="upscaler")
        assert result == {"ok": True, "models": [], "message": "There are no models."}
        assert json.dumps(result)
    finally:
        host.close()
