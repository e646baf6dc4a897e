"""Progress from events: rate, time left, pictures, previews."""

from __future__ import annotations

import pytest

from gesso.jobs.progress import ProgressBoard
from gesso.types import JobEvent


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def board(clock):
    return ProgressBoard(lambda job: 2, lambda: clock[0])


@pytest.fixture
def tell(board):
    def event(kind, **data):
        board.event(JobEvent(job="j", kind=kind, data=data))

    return event


def test_a_job_is_there_while_it_runs(board, tell):
    assert board.get("j") is None
    tell("state", state="running")
    assert board.get("j").stage == ""
    for end in ("done", "interrupted", "failed", "cancelled", "queued"):
        tell("state", state="running")
        tell("state", state=end)
        assert board.get("j") is None


def test_rate_and_time_left_count_all_batches(board, tell, clock):
    tell("state", state="running")
    tell("progress", stage="batch", done=0, total=6)
    tell("stage", stage="sample", anchor="sample")
    for step in range(1, 6):
        clock[0] += 0.5
        tell("progress", stage="sample", done=step, total=10)
    now = board.get("j")
    assert (now.stage, now.done, now.total, now.pictures_total) == ("sample", 5, 10, 6)
    assert now.rate == pytest.approx(2.0)
    # 5 steps of this batch of two, then two batches of 10 steps.
    assert now.seconds_left == pytest.approx(12.5)


def test_a_second_run_of_the_sampler_starts_a_new_measurement(board, tell, clock):
    tell("state", state="running")
    for step in (1, 2):
        clock[0] += 1
        tell("progress", stage="sample", done=step, total=2)
    clock[0] += 60
    tell("progress", stage="sample", done=1, total=4)
    clock[0] += 0.25
    tell("progress", stage="sample", done=2, total=4)
    assert board.get("j").rate == pytest.approx(4.0)


def test_previews_are_numbered_and_warnings_kept(board, tell):
    tell("state", state="running")
    tell("preview", image="b25l")
    tell("preview", image="dHdv")
    tell("warning", message="careful")
    now = board.get("j")
    assert (now.preview, now.preview_number, now.warnings) == (b"two", 2, ("careful",))


def test_events_of_unknown_jobs_are_nothing(board, tell):
    before = board.version
    tell("progress", stage="sample", done=1, total=2)
    assert board.get("j") is None
    assert board.version > before
