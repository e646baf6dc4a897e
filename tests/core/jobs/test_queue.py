"""The queue's promises, on both databases."""

from __future__ import annotations

import random

import pytest

from gesso.errors import BadFileError, InvalidInputError, UnknownNameError
from gesso.jobs.claims import Batch
from gesso.jobs.queue import JobQueue
from gesso.jobs.records import Claim, Limits, StaleClaimError
from gesso.types import Artifact, FileRef, JobEvent


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(store, clock) -> JobQueue:
    return JobQueue(store, clock=clock, lease_s=30, limits=Limits(crashes=3, losses=4, overtakes=3))


def drain(queue: JobQueue, loaded: tuple[str, ...] = ()) -> list[str]:
    """Claim and finish until nothing is ready; the order."""
    order = []
    while claim := queue.claim("w", loaded):
        queue.finish(claim, "done")
        order.append(claim.job.id)
    return order


def one_picture(queue: JobQueue, claim: Claim, index: int, content: bytes = b"picture") -> Batch:
    ref = queue.store.files.put(content, "image/png")
    return Batch(artifacts=[(index, 0, Artifact(kind="image", file=ref, meta={"seed": index}))], made=[index])


# --- order ----------------------------------------------------------------------------------------------------


def test_jobs_come_back_as_they_were_given(queue, make_job):
    job = make_job(count=3, width=64, owner="ann", params={"x": {"y": [1.5, "\0ü"]}}, prompt="NUL \0 and 🎨")
    queue.submit(job)
    assert queue.get(job.id).job == job
    assert queue.claim("w").job == job
    assert [r.id for r in queue.jobs(owner="ann")] == [job.id]
    assert queue.jobs(owner="bob") == []


def test_first_in_first_out_within_a_priority(queue, make_job):
    low = [queue.submit(make_job()) for _ in range(3)]
    high = [queue.submit(make_job(), priority=5) for _ in range(2)]
    assert [record.id for record in queue.jobs("queued")] == high + low
    assert drain(queue) == high + low


def test_a_job_is_accepted_once(queue, make_job):
    job = make_job()
    assert queue.submit(job) == queue.submit(job) == job.id
    assert drain(queue) == [job.id]
    assert len(queue.events_since(job.id)) == 3


def test_moving(queue, make_job):
    a, b, c, d = queue.submit_many([make_job() for _ in range(4)])
    queue.move(d, before=b)
    queue.move(a, to="bottom")
    queue.move(c, to="top")
    assert [r.id for r in queue.jobs("queued")] == [c, d, b, a]
    queue.move(c, after=b)
    e = queue.submit(make_job())
    assert drain(queue) == [d, b, c, a, e]


def test_any_series_of_moves_gives_the_order_of_a_list(queue, make_job):
    rng = random.Random(7)
    expected = queue.submit_many([make_job() for _ in range(8)])
    for _ in range(60):
        job, other = rng.sample(expected, 2)
        way = rng.choice(["before", "after", "top", "bottom", "submit"])
        if way == "submit" and len(expected) < 12:
            expected.append(queue.submit(make_job()))
            continue
        expected.remove(job)
        if way in ("before", "after"):
            queue.move(job, **{way: other})
            expected.insert(expected.index(other) + (way == "after"), job)
        else:
            queue.move(job, to="top" if way == "top" else "bottom")
            expected.insert(0 if way == "top" else len(expected), job)
        assert [r.id for r in queue.jobs("queued")] == expected


def test_moving_beside_a_job_takes_its_priority(queue, make_job):
    low, high = queue.submit(make_job()), queue.submit(make_job(), priority=3)
    queue.move(low, before=high)
    assert drain(queue) == [low, high]


def test_only_queued_jobs_have_a_place(queue, make_job):
    job = queue.submit(make_job())
    queue.claim("w")
    for change in (lambda: queue.move(job, to="top"), lambda: queue.set_priority(job, 1)):
        with pytest.raises(InvalidInputError, match="only queued jobs"):
            change()
    with pytest.raises(UnknownNameError):
        queue.move("nobody", to="top")
    with pytest.raises(InvalidInputError, match="Say one of"):
        queue.move(job)


def test_a_pause_holds_what_is_queued(queue, make_job):
    job = queue.submit(make_job())
    queue.pause("lunch")
    assert queue.claim("w") is None
    assert (queue.state().paused, queue.state().reason) == (True, "lunch")
    queue.resume()
    assert queue.claim("w").job.id == job


# --- affinity -------------------------------------------------------------------------------------------------


def test_a_job_whose_model_is_loaded_goes_first(queue, make_job):
    other, mine = queue.submit_many([make_job(model="b"), make_job(model="a")])
    assert queue.claim("w", ["a"]).job.id == mine
    assert queue.claim("w", ["a"]).job.id == other


def test_affinity_never_beats_priority_or_a_move_to_the_top(queue, make_job):
    mine = queue.submit(make_job(model="a"))
    urgent = queue.submit(make_job(model="b"), priority=1)
    assert queue.claim("w", ["a"]).job.id == urgent
    wanted = queue.submit(make_job(model="b"))
    queue.move(wanted, to="top")
    assert drain(queue, ("a",)) == [wanted, mine]


def test_nobody_is_overtaken_by_more_than_the_limit(queue, make_job):
    """A steady stream of jobs with the loaded model does not starve the others."""
    waiting = [queue.submit(make_job(model="b")) for _ in range(2)]
    order = []
    for _ in range(12):
        queue.submit_many([make_job(model="a"), make_job(model="a")])
        claim = queue.claim("w", ["a"])
        queue.finish(claim, "done")
        order.append(claim.job.id)
    assert order.index(waiting[0]) <= 3
    overtakers = [job for job in order[: order.index(waiting[1])] if job not in waiting]
    assert 0 < len(overtakers) <= 3


# --- leases and fencing ---------------------------------------------------------------------------------------


def test_a_late_result_is_refused(queue, make_job, clock):
    job = queue.submit(make_job())
    late = queue.claim("slow")
    clock.now += 31
    new = queue.claim("quick")
    assert new.job.id == job
    assert new.token > late.token
    for write in (
        lambda: queue.heartbeat(late),
        lambda: queue.wishes(late),
        lambda: queue.record(late, one_picture(queue, late, 0)),
        lambda: queue.finish(late, "done", one_picture(queue, late, 0)),
        lambda: queue.crashed(late, "late"),
        lambda: queue.release(late, "late"),
    ):
        with pytest.raises(StaleClaimError, match="comes too late"):
            write()
    assert queue.artifacts(job) == []
    queue.finish(new, "done", one_picture(queue, new, 0))
    assert [a.index for a in queue.artifacts(job)] == [0]
    assert [run.outcome for run in queue.runs(job)] == ["lost", "done"]


def test_a_heartbeat_keeps_the_lease(queue, make_job, clock):
    queue.submit(make_job())
    claim = queue.claim("w")
    for _ in range(5):
        clock.now += 20
        queue.heartbeat(claim)
        assert queue.claim("other") is None


def test_a_job_that_kills_its_worker_is_given_up(queue, make_job):
    job = queue.submit(make_job())
    for _ in range(3):
        queue.crashed(queue.claim("w"), "SIGKILL.")
    record = queue.get(job)
    assert (record.state, record.error_type) == ("failed", "WorkerDiedError")
    assert record.error == "The job crashed the worker 3 times. SIGKILL."
    assert queue.claim("w") is None


def test_progress_makes_good_for_crashes(queue, make_job):
    job = queue.submit(make_job(count=9))
    for index in range(6):
        claim = queue.claim("w")
        assert claim.job.done == tuple(range(index))
        queue.record(claim, one_picture(queue, claim, index, bytes([index])))
        queue.crashed(claim, "again")
    assert queue.get(job).state == "queued"
    assert len(queue.artifacts(job)) == 6


def test_a_dead_hosts_jobs_are_queued_again_in_their_place(queue, make_job):
    first, second = queue.submit_many([make_job(), make_job()])
    queue.claim("host-a/local")
    assert queue.recover("host-b") == 0
    assert queue.recover("host-a") == 1
    assert [r.id for r in queue.jobs("queued")] == [first, second]


def test_a_job_that_takes_the_host_down_each_time_is_given_up(queue, make_job):
    job = queue.submit(make_job())
    for _ in range(4):
        queue.claim("w")
        queue.recover()
    assert queue.get(job).error == "The program ended 4 times while it ran the job."


def test_a_released_job_has_lost_no_try(queue, make_job):
    job = queue.submit(make_job())
    for _ in range(10):
        queue.release(queue.claim("w"), "disk full")
    assert queue.get(job).state == "queued"


def test_a_job_this_version_cannot_read_fails_alone(queue, make_job):
    from sqlalchemy import update

    from gesso.store.schema import JobRow

    old, good = queue.submit_many([make_job(), make_job()])
    queue.store.database.write(
        lambda s: s.execute(update(JobRow).where(JobRow.id == old).values(document={"id": old, "from": "the future"}))
    )
    assert queue.claim("w").job.id == good
    assert "cannot read the job" in queue.get(old).error


# --- stopping -------------------------------------------------------------------------------------------------


def test_cancelling(queue, make_job):
    running, queued, child = (make_job() for _ in range(3))
    child = child.model_copy(update={"parent": queued.id})
    queue.submit_many([running, queued, child])
    claim = queue.claim("w")
    assert queue.cancel(queued.id) == "cancelled"
    assert queue.get(child.id).state == "cancelled"
    assert queue.cancel(running.id) == "running"
    assert queue.heartbeat(claim).wish == "cancel"
    queue.finish(claim, "cancelled")
    assert queue.cancel(running.id) == "cancelled"


def test_a_cancelled_job_is_not_tried_again_after_a_crash(queue, make_job):
    kept, dropped = queue.submit_many([make_job(), make_job()])
    for job, ask, state in ((kept, queue.interrupt, "interrupted"), (dropped, queue.cancel, "cancelled")):
        claim = queue.claim("w")
        ask(job)
        queue.crashed(claim, "bang")
        assert queue.get(job).state == state


def test_interrupt_and_skip_reach_running_jobs_only(queue, make_job):
    job = queue.submit(make_job())
    assert not queue.interrupt(job)
    assert not queue.skip(job)
    claim = queue.claim("w")
    assert queue.skip(job)
    assert queue.skip(job)
    assert queue.interrupt(job)
    assert (queue.wishes(claim).wish, queue.wishes(claim).skips) == ("interrupt", 2)
    queue.cancel(job)
    assert not queue.interrupt(job)
    assert queue.wishes(claim).wish == "cancel"


def test_cancel_all_of_an_owner(queue, make_job):
    anns = queue.submit_many([make_job(owner="ann") for _ in range(3)])
    bobs = queue.submit(make_job(owner="bob"))
    queue.claim("w")
    assert queue.cancel_all("ann") == 2
    assert [queue.get(job).state for job in anns] == ["running", "cancelled", "cancelled"]
    assert drain(queue) == [bobs]


# --- dependencies ---------------------------------------------------------------------------------------------


def test_a_job_waits_for_what_it_depends_on(queue, make_job):
    a, b = make_job(), make_job()
    join = make_job(depends_on=(a.id, b.id))
    queue.submit_many([join, a, b])
    first = queue.claim("w")
    assert first.job.id == a.id
    queue.finish(queue.claim("w"), "done")
    assert queue.claim("w") is None
    queue.finish(first, "interrupted")
    assert queue.claim("w").job.id == join.id


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_failure_runs_down_the_chain_and_a_retry_brings_it_back(queue, make_job, end):
    a = make_job()
    b = make_job(depends_on=(a.id,))
    c = make_job(depends_on=(b.id,))
    queue.submit_many([a, b, c])
    queue.finish(queue.claim("w"), end, error="bad")
    assert [queue.get(j.id).state for j in (b, c)] == ["failed", "failed"]
    assert queue.get(b.id).error == f"The job {a.id[:8]}, which this one depends on, was not finished."
    late = make_job(depends_on=(a.id,))
    queue.submit(late)
    assert queue.get(late.id).state == "failed"
    queue.retry(a.id)
    assert drain(queue) == [a.id, b.id, c.id, late.id]


def test_impossible_dependencies_are_refused_whole(queue, make_job):
    a = make_job()
    b = make_job(depends_on=(a.id,))
    a = a.model_copy(update={"depends_on": (b.id,)})
    with pytest.raises(InvalidInputError, match="wait for each other"):
        queue.submit_many([a, b])
    with pytest.raises(InvalidInputError, match="no job here"):
        queue.submit_many([make_job(), make_job(depends_on=("f" * 32,))])
    assert queue.jobs() == []


# --- results, retry, deletion ---------------------------------------------------------------------------------


def test_events_are_numbered_without_gaps_over_all_attempts(queue, make_job, clock):
    seen: list[JobEvent] = []
    unsubscribe = queue.subscribe(seen.append)
    job = queue.submit(make_job(count=2))
    for end in ("crashed", "done"):
        claim = queue.claim("w")
        events = [JobEvent(job=job, kind="warning", seq=claim.seq + i, data={"message": end}) for i in range(2)]
        queue.record(claim, Batch(events=events))
        queue.crashed(claim, "bang") if end == "crashed" else queue.finish(claim, "done")
    stored = queue.events_since(job)
    assert [event.seq for event in stored] == list(range(len(stored)))
    assert stored == seen
    states = [event.data["state"] for event in stored if event.kind == "state"]
    assert states == ["queued", "running", "queued", "running", "done"]
    assert queue.events_since(job, stored[3].seq) == stored[4:]
    assert queue.get(job).last_seq == stored[-1].seq
    unsubscribe()
    queue.submit(make_job())
    assert len(seen) == len(stored)


def test_nothing_a_person_does_to_a_queued_job_disturbs_its_events(queue, make_job):
    job, other = queue.submit_many([make_job(), make_job()])
    queue.release(queue.claim("w"), "not now")
    for change in ({"after": other}, {"before": other}, {"to": "top"}, {"to": "bottom"}):
        queue.move(job, **change)
    queue.set_priority(job, 4)
    queue.cancel(job)
    assert [event.seq for event in queue.events_since(job)] == [0, 1, 2, 3]


def test_retry_keeps_what_is_finished_unless_told_otherwise(queue, make_job):
    job = queue.submit(make_job(count=3))
    claim = queue.claim("w")
    queue.record(claim, one_picture(queue, claim, 0))
    queue.finish(claim, "failed", error="bad", error_type="StageError")
    queue.retry(job)
    claim = queue.claim("w")
    assert claim.job.done == (0,)
    queue.finish(claim, "failed")
    queue.retry(job, from_start=True)
    assert queue.claim("w").job.done == ()
    assert queue.artifacts(job) == []
    with pytest.raises(InvalidInputError, match="is running"):
        queue.retry(job)


def test_files_are_counted_with_the_rows(queue, make_job):
    from sqlalchemy import select

    from gesso.store.schema import FileRow

    def refs() -> dict[str, int]:
        return dict(queue.store.database.read(lambda s: s.execute(select(FileRow.sha256, FileRow.refs)).all()))

    start = queue.store.files.upload(b"start picture", "image/png")
    mask = queue.store.files.upload(b"mask", "image/png")
    inputs = {"init": start, "mask": mask}
    jobs = queue.submit_many(
        [make_job(inputs=inputs), make_job(inputs=inputs, params={"x": {"hint": [mask.model_dump()]}})]
    )
    assert refs() == {start.sha256: 2, mask.sha256: 2}
    claim = queue.claim("w")
    queue.finish(claim, "done", one_picture(queue, claim, 0, b"start picture"))
    assert refs() == {start.sha256: 3, mask.sha256: 2}
    queue.delete(jobs[0])
    assert refs() == {start.sha256: 1, mask.sha256: 1}
    queue.cancel(jobs[1])
    queue.delete(jobs[1])
    assert refs() == {start.sha256: 0, mask.sha256: 0}
    assert queue.store.files.repair().recounted == 0
    with pytest.raises(UnknownNameError):
        queue.get(jobs[0])


def test_a_job_whose_input_is_not_there_is_refused(queue, make_job):
    with pytest.raises(BadFileError, match="Upload it again"):
        queue.submit(make_job(inputs={"init": FileRef(sha256="0" * 64)}))
    assert queue.jobs() == []


def test_only_ended_jobs_are_deleted(queue, make_job):
    job = queue.submit(make_job())
    with pytest.raises(InvalidInputError, match="cancel it first"):
        queue.delete(job)


def test_waiting(queue, make_job):
    job = queue.submit(make_job())
    assert queue.wait(job, timeout=0).state == "queued"
    queue.cancel(job)
    assert queue.wait(job).state == "cancelled"


def test_a_broken_listener_hurts_nobody(queue, make_job, caplog):
    def broken(event: JobEvent) -> None:
        raise RuntimeError("broken listener")

    queue.subscribe(broken)
    seen: list[JobEvent] = []
    queue.subscribe(seen.append)
    queue.submit(make_job())
    assert len(seen) == 1
    assert "broken listener" in caplog.text
