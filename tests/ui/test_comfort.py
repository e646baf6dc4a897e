"""Sizes by aspect, what a browser kept, the session's own queue and the counter, over HTTP and without a browser."""

from __future__ import annotations

import asyncio

import gradio as gr
import pytest
from starlette.testclient import TestClient

from gesso import CoreParams, fields
from gesso_ui.app import make_app
from gesso_ui.components.size import ASPECTS, size_of
from gesso_ui.form import RequestForm
from gesso_ui.session import COOKIE

URL = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def client(service):
    with TestClient(make_app(service), base_url=URL) as made:
        yield made


@pytest.mark.parametrize("aspect", ASPECTS)
def test_an_aspect_keeps_the_models_area_and_steps(service, aspect):
    width, height = size_of(service, "shapes", aspect)
    wide, high = map(int, aspect.split(":"))
    assert width % 8 == height % 8 == 0
    assert width / height == pytest.approx(wide / high, rel=0.06)
    assert width * height == pytest.approx(128 * 128, rel=0.2)
    turned = size_of(service, "shapes", f"{high}:{wide}")
    assert turned == (height, width), "a picture that is turned has the same sides"


def test_what_was_typed_goes_before_the_last_run_before_the_profile(service):
    async def build():  # Gradio leaves event loops behind where none runs
        made = RequestForm(service, "t")
        with gr.Blocks():
            for name, _, _ in fields(CoreParams):
                made.add(name)
        return made

    form = asyncio.run(build())
    last = service.request({"prompt": "of the last run", "steps": 31, "model": "shapes", "sampler": "euler"})
    draft = {"t-steps": 400, "t-sampler": "gone with its plugin", "t-width": "many", "t-cfg_scale": True, "x": 1}
    shown = {c.name: update for c, update in zip(form.controls, form.prefilled(last, draft), strict=True)}
    assert shown["prompt"]["value"] == "of the last run"
    assert (shown["steps"].value, shown["steps"].maximum) == (400, 400)
    assert shown["sampler"]["value"] == "euler", "what a browser kept and cannot be shown is passed over"
    assert "value" not in shown["width"], "it shows that already"
    assert "value" not in shown["cfg_scale"]
    fresh = {c.name: update for c, update in zip(form.controls, form.prefilled(None, {}), strict=True)}
    assert "value" not in fresh["steps"], "the profile is what the form was made with"
    assert form.component("cfg_scale").value == service.profile("shapes")["cfg_scale"]


def test_a_session_moves_and_drops_its_own_waiting_jobs(client, service):
    queue = service.queue
    client.cookies.clear()
    client.cookies.set(COOKIE, "a" * 32)
    queue.pause("a test")
    try:
        prompts = ["one", "other's", "two", "three"]
        owners = ["a" * 32, "b" * 32, "a" * 32, "a" * 32]
        jobs = [
            service.submit({"prompt": prompt, "model": "shapes"}, owner=owner).id
            for prompt, owner in zip(prompts, owners, strict=True)
        ]

        def waiting():
            return [row["title"] for row in client.get("/gesso/live").json()["queue"]]

        assert waiting() == ["one", "two", "three"]
        assert client.post(f"/gesso/queue/{jobs[3]}/up").status_code == 200
        assert waiting() == ["one", "three", "two"]
        client.post(f"/gesso/queue/{jobs[0]}/down")
        assert waiting() == ["three", "one", "two"]
        client.post(f"/gesso/queue/{jobs[2]}/top")
        assert waiting() == ["two", "three", "one"]
        client.post(f"/gesso/queue/{jobs[3]}/cancel")
        assert waiting() == ["two", "one"]
        assert client.post(f"/gesso/queue/{jobs[1]}/cancel").status_code == 404, "others' jobs are not its own"
        assert client.post(f"/gesso/queue/{jobs[0]}/eat").status_code == 404
        assert queue.get(jobs[1]).state == "queued"
        assert client.post("/gesso/queue/x/cancel", headers={"origin": "http://evil.example"}).status_code == 421
    finally:
        queue.cancel_all()
        queue.resume()


def test_tokens_are_counted_and_errors_are_words(client):
    asked = {"prompt": "a (red:1.3) circle", "model": "shapes"}
    assert client.post("/gesso/tokens", json=asked).json() == {"tokens": 3, "limit": 75}
    long = {"prompt": "circle " * 5700, "model": "shapes"}  # 40,000 characters
    assert client.post("/gesso/tokens", json=long).json() == {"tokens": 5700, "limit": 5700}
    wrong = client.post("/gesso/tokens", json={"prompt": "", "model": "nobody"})
    assert (wrong.status_code, "nobody" in wrong.json()["detail"]) == (422, True)
