"""The parts around the worker that need no worker: the watchdog's patience, the log, what a death is called."""

from __future__ import annotations

import pytest

from gesso.errors import BadFileError, GessoError, UnknownNameError
from gesso.jobs.death import Death, find_place, last_words
from gesso.jobs.log_file import LogFile
from gesso.jobs.protocol import WorkerSettings, error_data, error_from
from gesso.jobs.watchdog import Watch

LIMITS = WorkerSettings(
    load_seconds=100, first_step_seconds=50, step_seconds=10, decode_seconds=70, other_seconds=30, cancel_seconds=5
)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return Watch(LIMITS, clock)


def step(watch, done):
    watch.saw("progress", {"stage": "sample", "done": done, "total": 20})


@pytest.mark.parametrize(("anchor", "limit"), [("load", 100), ("sample", 50), ("decode", 70), ("encode", 30)])
def test_each_stage_has_its_limit(watch, clock, anchor, limit):
    watch.saw("stage", {"stage": "any", "anchor": anchor})
    clock.now += limit
    assert watch.stalled() == ""
    clock.now += 0.1
    assert watch.stalled().startswith(f"it made no progress for {limit} s")


def test_before_it_has_begun_the_worker_is_given_the_time_of_a_start(watch, clock):
    """It may still import what jobs need."""
    clock.now += LIMITS.start_seconds
    assert watch.stalled() == ""
    clock.now += 0.1
    assert watch.stalled()


def test_any_event_is_progress_and_a_heartbeat_is_none(watch, clock):
    watch.saw("stage", {"stage": "load", "anchor": "load"})
    for _ in range(3):
        clock.now += 99
        watch.saw("progress", {"stage": "load", "done": 1, "total": 9})
    assert watch.stalled() == ""
    clock.now += 101
    watch.beat()
    assert watch.stalled() == "it made no progress for 101 s, though it was alive"


def test_a_process_that_does_not_answer_is_told_apart(watch, clock):
    watch.saw("state", {"state": "running"})
    clock.now += 40
    assert watch.stalled() == "it made no progress for 40 s, and gave no sign of life for 40 s"


def test_patience_grows_with_the_slowest_step(watch, clock):
    """Steps of 3 s (a large model on a CPU) are given a minute where quick ones are given ten seconds."""
    watch.saw("stage", {"stage": "sample", "anchor": "sample"})
    step(watch, 1)
    assert watch.limit == 10
    for done in (2, 3):
        clock.now += 3
        step(watch, done)
    assert watch.limit == 60
    watch.saw("stage", {"stage": "sample", "anchor": "sample"})
    assert watch.limit == 50  # the next batch, or the second pass at another size, begins anew


def test_a_cancel_waits_for_the_step_it_came_in(watch, clock):
    watch.saw("stage", {"stage": "sample", "anchor": "sample"})
    step(watch, 1)
    clock.now += 20
    step(watch, 2)
    assert watch.disobeyed() == ""
    watch.cancel()
    clock.now += 29
    watch.cancel()  # pressing again does not begin the wait anew
    assert watch.disobeyed() == ""
    clock.now += 2
    assert watch.disobeyed() == "it did not stop within 31 s of being cancelled"


def test_the_log_is_rotated_and_its_end_is_kept(tmp_path):
    log = LogFile(tmp_path / "logs" / "worker.log", limit=1000, backups=2)
    for number in range(100):
        log.write(f"line {number:03d}\n".encode() * 10)
    log.close()
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["worker.log", "worker.log.1", "worker.log.2"]
    assert all((tmp_path / "logs" / name).stat().st_size <= 1000 for name in files)
    text = "".join((tmp_path / "logs" / name).read_text() for name in reversed(files))
    assert text == "".join(f"line {number:03d}\n" * 10 for number in range(100))[-len(text) :]
    assert log.tail().endswith(text)


def test_a_log_goes_on_in_the_file_that_is_there(tmp_path):
    for word in ("first", "second"):
        log = LogFile(tmp_path / "worker.log")
        log.write(word.encode())
        log.close()
    assert (tmp_path / "worker.log").read_text() == "firstsecond"


def test_a_log_that_cannot_be_written_still_knows_its_end(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be")
    log = LogFile(tmp_path / "logs" / "worker.log")
    log.write(b"words\n")
    assert log.tail() == "words\n"
    log.forget()
    assert log.tail() == ""


DUMP = """loading
Fatal Python error: Segmentation fault

Thread 0x00007f0000000001 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait

Current thread 0x00007f0000000002 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/site/faulty/samplers.py", line 30 in segfault
  File "/core/gesso/engine/denoise.py", line 190 in __call__

Extension modules: numpy.core._multiarray_umath, numpy.core._multiarray_tests (total: 200)
"""


def test_the_place_of_a_crash_is_the_plugins_own_line():
    place = find_place(DUMP, {"dist:other": "/site/other", "dist:faulty": "/site/faulty"})
    assert (place.plugin, str(place)) == ("dist:faulty", "samplers.py, line 30, in segfault")
    place = find_place(DUMP, {})
    assert (place.plugin, str(place)) == ("", "__init__.py, line 519, in string_at")
    assert find_place("no dump at all", {}) is None


def test_last_words_are_those_that_matter():
    words = last_words("first\n" * 50 + DUMP)
    assert words[:6] == (*["first"] * 4, "loading", "Fatal Python error: Segmentation fault")
    assert words[7].endswith("line 519 in string_at")
    assert not any("threading.py" in word or "Extension modules" in word for word in words)
    assert last_words("\n".join(map(str, range(30)))) == tuple(map(str, range(10, 30)))
    assert last_words("") == ()


@pytest.mark.parametrize(
    ("death", "how", "again"),
    [
        (Death(-11), "crashed with SIGSEGV (segmentation fault)", False),
        (Death(-6), "crashed with SIGABRT (abort)", False),
        (Death(-9), "crashed with SIGKILL (killed from outside, most often by the system for want of memory)", True),
        (Death(-9, "it made no progress for 3 s"), "was ended: it made no progress for 3 s", False),
        (Death(3), "ended with exit status 3", False),
        (Death(-63), "crashed with signal 63", False),
    ],
)
def test_a_death_has_a_name_and_says_whether_to_try_again(death, how, again):
    assert death.how() == how
    assert death.by_chance is again


@pytest.mark.parametrize("error", [BadFileError("Damaged.", hint="Mend it."), UnknownNameError("model", "x", ["y"])])
def test_an_error_crosses_with_class_text_and_exit_code(error):
    copy = error_from(error_data(error))
    assert (type(copy), str(copy), copy.hint, copy.exit_code) == (type(error), str(error), error.hint, 2)


@pytest.mark.parametrize("name", ["StageError", "Exception", "difflib", "near_matches", ""])
def test_a_class_that_is_no_error_of_gessos_becomes_the_plain_one(name):
    copy = error_from({"type": name, "message": "text"})
    assert (type(copy), str(copy)) == (GessoError, "text")
