"""Files for people: once each, whatever crashes in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesso.jobs.claims import Batch
from gesso.jobs.outputs import OutputFiles
from gesso.jobs.queue import JobQueue
from gesso.outputs.writing import OutputWriter
from gesso.testing import load_host
from gesso.types import Artifact, JobEvent

PLAIN = {"outputs": {"folder": "", "name": "[seed]"}}


@pytest.fixture(scope="module")
def host():
    with load_host(["builtin"]) as loaded:
        yield loaded


@pytest.fixture
def artifact(queue: JobQueue, make_job):
    """A stored artifact of a job that ended."""

    def make(content: bytes = b"picture", seed: int = 1, **settings):
        job = make_job().model_copy(update={"settings": {"outputs": {**PLAIN["outputs"], **settings}}})
        queue.submit(job)
        claim = queue.claim("w")
        meta = {"seed": seed, "infotext": "a fox\nSteps: 1, Seed: 1, Size: 8x8"}
        stored = Artifact(kind="image", file=queue.store.files.put(content, "image/png"), meta=meta)
        queue.finish(claim, "done", Batch(artifacts=[(0, 0, stored)], made=[0]))
        return queue.artifacts(job.id)[0]

    return make


@pytest.fixture
def outputs(queue: JobQueue, host, tmp_path: Path) -> OutputFiles:
    return OutputFiles(queue, OutputWriter(host, lambda: tmp_path / "out", tmp_path / "lock"))


def files(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*")}


def test_what_an_event_tells_of_is_written(queue, outputs, artifact, tmp_path):
    queue.subscribe(outputs.event)
    stored = artifact(sidecar=True)
    queue.publish(JobEvent(job=stored.job, kind="artifact", data={}))
    text = b"a fox\nSteps: 1, Seed: 1, Size: 8x8\n"
    assert files(tmp_path) == {"00000-1.png": b"picture", "00000-1.txt": text}
    assert queue.unwritten() == []
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    outputs.mend()
    assert files(tmp_path) == {}, "what a person deletes stays deleted"


def test_a_crash_before_the_name_or_before_the_file_is_made_good(queue, outputs, artifact, tmp_path):
    artifact(b"one")
    named = artifact(b"two")
    queue.promise_path(named.id, str(tmp_path / "out" / "promised.png"))
    outputs.mend()
    outputs.mend()
    assert files(tmp_path) == {"00000-1.png": b"one", "promised.png": b"two"}


def test_a_crash_after_the_file_makes_no_second_one(queue, outputs, artifact, tmp_path):
    stored = artifact(b"one", sidecar=True)
    queue.promise_path(stored.id, str(tmp_path / "out" / "promised.png"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "promised.png").write_bytes(b"one")
    outputs.mend()
    assert sorted(files(tmp_path)) == ["promised.png", "promised.txt"]


def test_a_promised_name_that_somebody_took_is_left_to_them(queue, outputs, artifact, tmp_path):
    stored = artifact(b"mine")
    taken = tmp_path / "out" / "00000-1.png"
    queue.promise_path(stored.id, str(taken))
    taken.parent.mkdir()
    taken.write_bytes(b"theirs")
    outputs.mend()
    assert files(tmp_path) == {"00000-1.png": b"theirs", "00001-1.png": b"mine"}
    assert queue.artifacts(stored.job)[0].path == str(tmp_path / "out" / "00001-1.png")


def test_what_the_disk_refuses_is_tried_again(queue, outputs, artifact, tmp_path):
    (tmp_path / "out").write_text("in the way")
    stored = artifact()
    outputs.mend()
    assert [a.id for a in queue.unwritten()] == [stored.id]
    (tmp_path / "out").unlink()
    outputs.mend()
    assert files(tmp_path) == {"00000-1.png": b"picture"}


def test_a_file_that_is_gone_from_the_store_holds_up_nothing(queue, outputs, artifact, tmp_path):
    lost = artifact(b"lost")
    artifact(b"good")
    queue.store.files.path(lost.artifact.file).unlink()
    outputs.mend()
    assert files(tmp_path) == {"00000-1.png": b"good"}
    assert queue.unwritten() == []
