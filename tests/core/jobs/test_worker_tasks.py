"""A task in the worker process: its result comes back, its hashes reach the host's model list, a cancel ends it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gesso.engine.control import Control
from gesso.errors import InvalidInputError, JobCancelledError
from gesso.jobs.tasks import task_job
from gesso.service import Service
from gesso.types import JobEvent


@pytest.fixture
def adapter(service: Service, toy_model: Path) -> Path:
    path = service.paths.models / "loras" / "toy.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(toy_model.read_bytes())
    return path


def test_the_result_and_the_hash_come_back(service: Service, adapter: Path) -> None:
    events: list[JobEvent] = []
    service.run(task_job(service, "verify_models", {"role": "lora"}), events.append)
    (result,) = [event.data["result"] for event in events if event.kind == "result"]
    sha256 = hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert [(row["sha256"], row["problem"]) for row in result["models"]] == [(sha256, "")]
    assert service.library.find("toy", "lora").hash == sha256
    assert [event.seq for event in events] == list(range(len(events)))
    assert events[-1].data["state"] == "done"


def test_a_cancel_reaches_it(service: Service, adapter: Path) -> None:
    control = Control()

    def follow(event: JobEvent) -> None:
        if event.kind == "stage":
            control.cancel()

    job = task_job(service, "verify_models", {"role": "lora", "models": "toy"})
    many = {"verify_models": {**job.request.params["verify_models"], "models": [f"lora:{adapter}"] * 2000}}
    job = job.model_copy(update={"request": job.request.model_copy(update={"params": many})})
    with pytest.raises(JobCancelledError):
        service.run(job, follow, control)


def test_what_cannot_be_meant_never_reaches_the_worker(service: Service) -> None:
    with pytest.raises(InvalidInputError, match="nobody"):
        task_job(service, "verify_models", {"role": "lora", "models": "nobody"})
