"""Previews by themselves: how many, which, how large; and that a broken one breaks nothing."""

from __future__ import annotations

import io
import threading
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from gesso import Preview, Registry, Step
from gesso.jobs.previews import Previewer, draw


def light(x0):
    """(C,H,W) or (C,T,H,W) → the first channels as they are."""
    if x0.ndim == 4:
        x0 = x0[:, 0]
    return x0[:3].permute(1, 2, 0).clamp(0, 255).to(torch.uint8)


def broken(x0):
    raise ValueError("no luck")


class Plugins:
    """What the previewer wants of a host: the registry of previews."""

    def __init__(self, function):
        self.previews = Registry("preview", Preview)
        self.previews.add(Preview(name="light", run=SimpleNamespace(load=lambda: function)), owner="tests")

    def registry(self, name):
        assert name == "previews"
        return self.previews


def context(name="light"):
    model = SimpleNamespace(preview=name, family=SimpleNamespace(streams=(SimpleNamespace(down=(8, 8)),)))
    return SimpleNamespace(job=SimpleNamespace(id="job"), first_index=4, loaded=lambda: model)


def step(index, batch=1, shape=(4, 8, 8)):
    x0 = torch.full((batch, *shape), float(index * 20))
    return Step(index, 10, 1.0, 0.5, x0, x0)


class Sent:
    """What was sent; `wait(n)` until so many were."""

    def __init__(self):
        self.frames, self._more = [], threading.Condition()

    def __call__(self, data, raw):
        with self._more:
            self.frames.append((data, raw))
            self._more.notify()

    def wait(self, count):
        with self._more:
            assert self._more.wait_for(lambda: len(self.frames) >= count, 30)

    @property
    def steps(self):
        return [data["step"] for data, _ in self.frames]


@pytest.mark.parametrize("at_once", [True, False])
def test_the_next_is_sent_when_the_last_was_seen_and_is_the_newest(at_once):
    sent = Sent()
    previews = Previewer(Plugins(light), sent, at_once=at_once, seconds=0)
    for index in range(3):
        previews.offer(context(), step(index))
        sent.wait(1)
    assert sent.steps == [1]
    previews.seen()
    if at_once:
        previews.offer(context(), step(3))  # what was offered meanwhile is old; the next step draws
    sent.wait(2)
    assert sent.steps == ([1, 4] if at_once else [1, 3])
    data, raw = sent.frames[1]
    assert data == {
        "job": "job", "index": 4, "step": data["step"], "total": 10, "type": "image/jpeg", "width": 64, "height": 64,
    }  # fmt: skip
    value = Image.open(io.BytesIO(raw)).getpixel((32, 32))[0]
    assert abs(value - 20 * (data["step"] - 1)) <= 2  # that step's latents, though they changed since


@pytest.mark.parametrize("at_once", [True, False])
def test_there_is_time_between_two(at_once):
    sent = Sent()
    previews = Previewer(Plugins(light), sent, at_once=at_once, seconds=3600)
    for index in range(5):
        previews.offer(context(), step(index))
        previews.seen()
    sent.wait(1)
    assert sent.steps == [1]
    previews.begin()  # another job does not wait for the last one's time to pass
    previews.offer(context(), step(0))
    sent.wait(2)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_preview_that_fails_is_said_once_and_left_out(at_once, caplog):
    sent = Sent()
    previews = Previewer(Plugins(broken), sent, at_once=at_once, seconds=0)
    for index in range(5):
        previews.offer(context(), step(index))
        previews.seen()
        while not caplog.records:
            threading.Event().wait(0.01)
    assert sent.frames == []
    assert len(caplog.records) == 1
    assert "no luck" in caplog.text


@pytest.mark.parametrize("reason", ["no preview", "unknown preview", "switched off", "packed streams"])
def test_where_there_is_nothing_to_show_nothing_is_sent(reason):
    sent = Sent()
    previews = Previewer(Plugins(light), sent, at_once=True, seconds=0, side=0 if reason == "switched off" else 384)
    name = {"no preview": "", "unknown preview": "nonsense"}.get(reason, "light")
    previews.offer(context(name), step(0, shape=(100,)) if reason == "packed streams" else step(0))
    assert sent.frames == []


@pytest.mark.parametrize(
    ("batch", "shape", "size"),
    [
        (1, (4, 8, 8), (64, 64)),
        (1, (4, 64, 64), (384, 384)),
        (1, (4, 32, 128), (384, 96)),
        (4, (4, 8, 16), (256, 128)),
        (3, (4, 8, 8), (128, 128)),
        (9, (4, 64, 64), (384, 384)),
        (1, (16, 5, 32, 32), (256, 256)),
        (1, (4, 1, 5000), (384, 1)),
    ],
)
def test_no_side_is_longer_than_asked_and_a_batch_is_a_grid(batch, shape, size):
    picture = draw(torch.rand(batch, *shape) * 255, light, 8, 384)
    assert (picture.size, picture.mode) == (size, "RGB")


def test_of_a_large_batch_nine_are_shown():
    sent = Sent()
    Previewer(Plugins(light), sent, at_once=True, seconds=0).offer(context(), step(0, batch=64))
    assert (sent.frames[0][0]["width"], sent.frames[0][0]["height"]) == (192, 192)
