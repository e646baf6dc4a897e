"""Jobs in the worker process: results, events, previews, files, controls."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gesso.engine.control import Control
from gesso.errors import BadFileError, JobCancelledError
from gesso.paths import Paths
from gesso.plugins import Host
from gesso.service import Service
from gesso.types import FileRef


class Run:
    """A job that was run, with its events; `at` maps (event kind, how many of it) to what is done then."""

    def __init__(self, service, model, *, at=None, **fields):
        self.events, self.control, self.artifacts = [], Control(), []
        given = {"model": str(model), "sampler": "euler", "seed": 7, "prompt": "p", **fields}
        self.job = service.job(service.request(given))
        counts = {}

        def emit(event):
            self.events.append(event)
            kind = event.data.get("stage") if event.kind == "progress" else event.kind
            counts[kind] = counts.get(kind, 0) + 1
            action = (at or {}).get((kind, counts[kind]))
            if action is not None:
                action(self.control)

        self._go = lambda: service.run(self.job, emit, self.control).artifacts

    def go(self):
        self.artifacts = self._go()
        return self

    def of(self, kind):
        return [event for event in self.events if event.kind == kind]

    @property
    def states(self):
        return [event.data["state"] for event in self.of("state")]


SCRIPT = """
import json, sys
from gesso.jobs.protocol import WorkerSettings
from gesso.jobs.worker_executor import WorkerExecutor
from gesso.paths import Paths
from gesso.plugins import Host
from gesso.service import Service
home, model, fields = sys.argv[1:]
paths = Paths.of(home)
host = Host.load("host", home=home)
service = Service(host, paths)
options = WorkerSettings(threads=1, niceness=0)
service._executor = WorkerExecutor(paths, service.library, service.core_settings, options=options)
artifacts = service.run(service.job(service.request({"model": model, **json.loads(fields)}))).artifacts
heavy = sorted({"torch", "diffusers", "transformers", "gradio"} & set(sys.modules))
print(json.dumps({"hashes": [a.file.sha256 for a in artifacts], "heavy": heavy}))
service.close()
host.close()
"""


@pytest.fixture(scope="module")
def tiny_sd(tmp_path_factory) -> Path:
    """Stable Diffusion's layout with random weights and hardly any width."""
    import torch
    from safetensors.torch import save_file

    from tools.shapes.layouts import SD1
    from tools.shapes.ldm_keys import text_to_ldm, unet_to_ldm, vae_to_ldm

    torch.manual_seed(0)
    layout = SD1(vae_widths=(8, 8, 8, 8), unet_widths=(16, 32), text_width=32, text_layers=1)
    state = {
        **unet_to_ldm(layout.unet().state_dict()),
        **vae_to_ldm(layout.vae().state_dict()),
        **text_to_ldm(layout.text_encoder().state_dict()),
    }
    path = tmp_path_factory.mktemp("sd") / "tiny.safetensors"
    metadata = {"modelspec.resolution": "64x64"}
    save_file({name: tensor.half().contiguous() for name, tensor in state.items()}, path, metadata)
    return path


def inline(model: Path, home: Path, fields: dict[str, Any]) -> list[str]:
    """The hashes of the files a job makes in this process, at one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    paths = Paths.of(home)
    host = Host.load("both", home=home)
    service = Service(host, paths)  # which runs jobs inline unless told otherwise
    try:
        job = service.job(service.request({"model": str(model), **fields}))
        return [artifact.file.sha256 for artifact in service.run(job).artifacts]
    finally:
        service.close()
        host.close()
        torch.set_num_threads(threads)


def test_the_host_has_no_torch_and_files_are_the_same_as_inline(tiny_sd, tmp_path):
    """The same job in a worker and in this process: the same bytes, infotext included."""
    fields = {"prompt": "a red circle", "sampler": "euler_ancestral", "steps": 3, "seed": 5, "batch_size": 2}
    command = [sys.executable, "-P", "-c", SCRIPT, str(tmp_path / "worker"), str(tiny_sd), json.dumps(fields)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    assert told["heavy"] == []
    assert len(set(told["hashes"])) == 2
    assert told["hashes"] == inline(tiny_sd, tmp_path / "inline", fields)


def test_start_returns_before_the_worker_is_there(make_service, toy_model):
    service = make_service()
    service.executor.start()
    assert service.executor.hello is None  # it takes a second to import torch; start has not waited for it
    hello = service.executor.wait_ready(120)
    assert hello.pid != os.getpid()
    assert hello.device == "cpu"
    assert hello.devices[-1].name == "cpu"
    assert hello.devices[-1].memory > 2**28
    assert {"python", "gesso", "torch", "diffusers"} <= set(hello.versions)
    assert hello.threads == 1
    assert {state.name for state in hello.plugins if state.state == "enabled"} >= {"toy", "faulty", "samplers"}


def test_the_worker_loads_the_plugins_the_host_loads(make_service, toy_model):
    service = make_service(without=("faulty",))
    states = {state.name: state.state for state in service.executor.wait_ready(120).plugins}
    assert states["faulty"] == "disabled"
    assert states["toy"] == "enabled"


def test_events_come_in_order_and_end_with_the_artifact(service, toy_model):
    run = Run(service, toy_model, count=2, steps=3).go()
    numbered = [event for event in run.events if event.kind != "preview"]
    assert [event.seq for event in numbered] == list(range(len(numbered)))
    assert run.states == ["running", "done"]
    anchors = [event.data["anchor"] for event in run.of("stage")]
    assert [anchor for anchor in anchors if anchor in ("save", "publish")] == ["save", "save", "publish"]
    artifacts = [event.data["artifact"] for event in run.of("artifact")]
    assert artifacts == [artifact.model_dump() for artifact in run.artifacts]
    assert [artifact.meta["seed"] for artifact in run.artifacts] == [7, 8]
    for artifact in run.artifacts:
        picture = Image.open(io.BytesIO(service.executor.blobs.get(artifact.file)))
        assert picture.size == (64, 64)


def test_previews_are_small_pictures_few_and_made_of_the_batch(service, toy_model):
    run = Run(service, toy_model, sampler="faulty_slow", steps=12, batch_size=3).go()
    previews = run.of("preview")
    assert previews
    lasted = previews[-1].time - run.events[0].time
    assert len(previews) <= lasted / 0.25 + 1
    steps = [event.data["step"] for event in previews]
    assert steps == sorted(set(steps))
    for event in previews:
        assert (event.data["type"], event.data["total"], event.data["index"]) == ("image/jpeg", 12, 0)
        picture = Image.open(io.BytesIO(base64.b64decode(event.data["image"])))
        assert picture.format == "JPEG"
        assert picture.size == (event.data["width"], event.data["height"]) == (128, 128)  # three of 64 × 64, two rows
        json.dumps(event.model_dump(mode="json"))


def test_an_input_is_fetched_from_the_host(service, toy_model):
    ref = service.executor.blobs.put(b"x" * 300_000, "image/png")
    run = Run(service, toy_model, inputs={"toy": ref}).go()
    assert [event.data["message"] for event in run.of("warning")] == ["toy: 300000 bytes"]


def test_an_error_keeps_its_class_and_its_words(service, toy_model):
    run = Run(service, toy_model, inputs={"toy": FileRef(sha256="0" * 64)})
    with pytest.raises(BadFileError, match=r"No file with the hash 000000000000 is here\. Upload it again\."):
        run.go()
    assert run.states == ["running", "failed"]
    assert run.of("error")[0].data["type"] == "BadFileError"


def test_interrupt_keeps_what_is_finished(service, toy_model):
    run = Run(
        service, toy_model, sampler="faulty_slow", steps=4, count=4, at={("sample", 5): lambda c: c.interrupt()}
    ).go()
    assert run.states == ["running", "interrupted"]
    assert [artifact.meta["seed"] for artifact in run.artifacts] == [7]


def test_skip_leaves_one_batch_out(service, toy_model):
    run = Run(service, toy_model, sampler="faulty_slow", steps=6, count=3, at={("sample", 7): lambda c: c.skip()}).go()
    assert run.states == ["running", "done"]
    assert [artifact.meta["seed"] for artifact in run.artifacts] == [7, 9]


def test_cancel_drops_the_job_and_the_worker_lives_on(service, toy_model):
    pid = service.executor.wait_ready(120).pid
    run = Run(service, toy_model, sampler="faulty_slow", steps=500, at={("sample", 2): lambda c: c.cancel()})
    with pytest.raises(JobCancelledError):
        run.go()
    assert run.states == ["running", "cancelled"]
    assert Run(service, toy_model).go().states == ["running", "done"]
    assert service.executor.hello.pid == pid


def test_a_job_that_waits_its_turn_can_be_cancelled(service, toy_model):
    waiting = Run(service, toy_model)
    waiting.control.cancel()
    problems = []

    def second(control):
        try:
            waiting.go()
        except JobCancelledError as error:
            problems.append(error)

    first = Run(service, toy_model, sampler="faulty_slow", steps=20, at={("sample", 1): lambda c: thread.start()})
    thread = threading.Thread(target=second, args=(None,))
    first.go()
    thread.join(60)
    assert len(problems) == 1
    assert waiting.states == ["cancelled"]
    assert first.states == ["running", "done"]


def test_two_threads_take_turns(service, toy_model):
    runs = [Run(service, toy_model, sampler="faulty_slow", steps=5, seed=seed) for seed in (1, 2)]
    threads = [threading.Thread(target=run.go) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    spans = sorted((run.events[0].time, run.events[-1].time) for run in runs)
    assert spans[0][1] <= spans[1][0]
    assert [run.artifacts[0].meta["seed"] for run in runs] == [1, 2]


def test_a_listener_that_fails_ends_the_job_in_the_worker_too(service, toy_model):
    """Else the worker would go on with a job nobody follows, and the next would wait for it."""

    def fail(control):
        raise OSError("disk full")

    run = Run(service, toy_model, sampler="faulty_slow", steps=500, at={("sample", 2): fail})
    with pytest.raises(OSError, match="disk full"):
        run.go()
    after = Run(service, toy_model).go()
    assert after.states == ["running", "done"]
    assert {event.job for event in after.events} == {after.job.id}


def test_memory_of_both_processes_is_published(service, toy_model):
    pid = service.executor.wait_ready(120).pid
    Run(service, toy_model).go()
    found = {metric.labels["process"]: metric for metric in service.executor.publisher.latest("memory.rss")}
    assert found["host"].labels["pid"] == str(os.getpid())
    assert found["worker"].labels["pid"] == str(pid)
    assert found["worker"].value > 50e6


def test_models_leave_memory_when_somebody_says_so(service, toy_model):
    Run(service, toy_model).go()
    executor = service.executor
    assert len(executor.loaded()) == 1  # told before the job was over
    executor.unload()
    end = time.monotonic() + 60
    while executor.loaded() and time.monotonic() < end:
        time.sleep(0.02)
    assert executor.loaded() == ()
    assert Run(service, toy_model).go().states == ["running", "done"]
