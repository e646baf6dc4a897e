"""Jobs from request to artifact, through the real engine on a small checkpoint."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso import JobCancelledError, Prediction
from gesso.engine.control import Control
from gesso.errors import GessoError
from gesso.metadata import parse_infotext, read_image_metadata
from gesso.pairs import request_fields
from gesso.service import Service
from gesso.types import JobEvent, Request

Ask = Callable[..., Request]
Make = Callable[..., tuple[list[bytes], list[JobEvent]]]


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png)), dtype=np.float64)


def psnr(a: bytes, b: bytes) -> float:
    error = float(np.mean((pixels(a) - pixels(b)) ** 2))
    return 10 * np.log10(255**2 / error) if error else float("inf")


def test_a_job_makes_a_picture_and_tells_about_it(make: Make) -> None:
    (png,), events = make()
    assert Image.open(io.BytesIO(png)).size == (64, 64)
    states = [e.data["state"] for e in events if e.kind == "state"]
    assert states == ["running", "done"]
    assert [e.seq for e in events] == list(range(len(events)))
    steps = [e.data["done"] for e in events if e.kind == "progress" and e.data["stage"] == "sample"]
    assert steps == [1, 2]
    assert {e.data["unit"] for e in events if e.kind == "metric"} == {"s"}
    assert any(e.kind == "artifact" for e in events)


def test_the_same_job_twice_is_byte_identical(make: Make) -> None:
    assert make()[0] == make()[0]
    assert make()[0] != make(seed=8)[0]


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M", "DPM++ SDE"])
def test_a_batch_of_four_is_four_singles(make: Make, sampler: str) -> None:
    together, _ = make(batch_size=4, sampler=sampler)
    for i, png in enumerate(together):
        (alone,), _ = make(seed=7 + i, sampler=sampler)
        assert psnr(png, alone) >= 40


def test_count_makes_batches_with_consecutive_seeds(make: Make) -> None:
    files, events = make(batch_size=2, count=2)
    assert len(files) == 4
    seeds = [e.data["artifact"]["meta"]["seed"] for e in events if e.kind == "artifact"]
    assert seeds == [7, 8, 9, 10]


def test_the_picture_says_how_to_make_it_again(service: Service, ask: Ask, make: Make) -> None:
    (png,), _ = make(sampler="Euler a", cfg_scale=3.5, negative_prompt="a blue star", params={"sampler": {"eta": 0.5}})
    text = parse_infotext(read_image_metadata(png).infotext or "")
    assert text.params["Sampler"] == "Euler a"
    assert text.params["Eta"] == "0.5"
    fields, unknown = request_fields(service.host, text.prompt, text.negative_prompt, text.params)
    assert unknown == {}
    result = service.run(service.job(service.request(fields)))
    assert service.executor.blobs.get(result.artifacts[0].file) == png


def test_cancel_within_a_step_drops_the_job(service: Service, ask: Ask) -> None:
    control = Control()
    events: list[JobEvent] = []

    def on_event(event: JobEvent) -> None:
        events.append(event)
        if event.data.get("stage") == "sample" and event.data.get("done") == 2:
            control.cancel()

    with pytest.raises(JobCancelledError):
        service.run(service.job(ask(steps=20)), on_event, control)
    assert max(e.data["done"] for e in events if e.data.get("stage") == "sample" and "done" in e.data) == 2
    assert events[-1].data == {"state": "cancelled"}


def test_interrupt_keeps_what_is_finished(service: Service, ask: Ask) -> None:
    control = Control()

    def on_event(event: JobEvent) -> None:
        if event.kind == "artifact":
            control.interrupt()

    result = service.run(service.job(ask(count=3)), on_event, control)
    assert len(result.artifacts) == 1


def test_skip_goes_on_with_the_next(service: Service, ask: Ask) -> None:
    control = Control()
    skipped = False

    def on_event(event: JobEvent) -> None:
        nonlocal skipped
        if event.data.get("stage") == "sample" and event.kind == "progress" and not skipped:
            skipped = True
            control.skip()

    result = service.run(service.job(ask(count=3)), on_event, control)
    assert [a.meta["seed"] for a in result.artifacts] == [8, 9]


def test_a_failing_stage_names_its_plugin(service: Service, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> bytes:
        raise RuntimeError("the disk is on fire")

    from gesso_builtin.txt2img import stages

    events: list[JobEvent] = []
    monkeypatch.setattr(stages, "format_infotext", broken)
    with pytest.raises(GessoError, match="gesso:txt2img: the stage 'save' failed"):
        service.run(service.job(ask()), events.append)
    assert events[-2].kind == "error"
    assert "Traceback" in events[-2].data["traceback"]
    assert events[-1].data == {"state": "failed"}


def test_a_job_without_a_picture_has_failed(service: Service, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the stage that saves lost (its plugin's name was taken, say), "done" would be a lie."""
    monkeypatch.setattr(service.host.registry("stages").get("save").run, "_value", lambda ctx: None)
    events: list[JobEvent] = []
    with pytest.raises(GessoError, match="made no picture"):
        service.run(service.job(ask()), events.append)
    assert events[-1].data == {"state": "failed"}


def test_every_denoise_is_wrapped(service: Service, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's wrapper sees each model call and may change it."""
    from contextlib import contextmanager

    calls: list[float] = []
    original = service.host.wrap

    @contextmanager
    def wrap(hook: str, value_name: str | None = None, **kwargs: Any) -> Any:
        with original(hook, value_name=value_name, **kwargs) as inner:
            if hook != "gesso_wrap_denoise":
                yield inner
                return

            def counted(x: Any, sigma: float) -> Prediction:
                calls.append(sigma)
                return inner(x, sigma)

            yield counted

    monkeypatch.setattr(service.host, "wrap", wrap)
    service.run(service.job(ask(steps=3, sampler="Euler")))
    assert len(calls) == 3
    assert calls == sorted(calls, reverse=True)


def test_guidance_one_calls_the_network_once(service: Service, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from gesso.engine.denoise import Denoiser

    sizes: list[int] = []
    original = Denoiser._forward

    def counted(self: Denoiser, x: Any, sigma: float, entries: Any) -> Any:
        sizes.append(len(entries))
        return original(self, x, sigma, entries)

    monkeypatch.setattr(Denoiser, "_forward", counted)
    service.run(service.job(ask(cfg_scale=1)))
    service.run(service.job(ask(cfg_scale=2)))
    assert sizes == [1, 1, 2, 2]


@pytest.mark.parametrize(("sampler", "plain"), [("Euler CFG++", "Euler"), ("DPM++ 2M CFG++", "DPM++ 2M")])
def test_samplers_that_need_the_unguided_estimate_have_it_at_guidance_one(make: Make, sampler: str, plain: str) -> None:
    """Without it CFG++ would be the plain sampler at exactly 1, and something else a hair above."""
    asked: dict[str, Any] = {"steps": 4, "negative_prompt": "a blue star", "scheduler": "Karras"}
    (one,), _ = make(sampler=sampler, cfg_scale=1, **asked)
    (near,), _ = make(sampler=sampler, cfg_scale=1.001, **asked)
    (unlike,), _ = make(sampler=plain, cfg_scale=1, **asked)
    assert psnr(one, near) > psnr(one, unlike) + 6


def test_out_of_memory_goes_one_by_one(service: Service, ask: Ask, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from gesso.engine.denoise import Denoiser

    (whole,), _ = make()
    original = Denoiser._forward

    def small(self: Denoiser, x: Any, sigma: float, entries: Any) -> Any:
        if len(entries) > 1:
            raise torch.OutOfMemoryError("no room for two")
        return original(self, x, sigma, entries)

    monkeypatch.setattr(Denoiser, "_forward", small)
    (parts,), _ = make()
    assert psnr(whole, parts) >= 40
