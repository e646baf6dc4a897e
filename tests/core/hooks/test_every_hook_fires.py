"""Every hook is declared, fires, and has the effect its page promises: one local plugin implements them all."""

from __future__ import annotations

import io
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from gesso.hookspecs import SpecInfo
from gesso.metadata import parse_infotext
from gesso.paths import Paths
from gesso.plugins.host import Host, Selection
from gesso.plugins.registries import REGISTRIES, SPECS
from gesso.service import Service
from gesso.tokens import count_tokens
from gesso.types import JobEvent


@dataclass
class Ran:
    """A job run with the plugin, and the same without what it changes."""

    calls: Counter[str]
    infotext: str
    prompt: str
    steps: int
    events: list[JobEvent]
    picture: Image.Image
    plain: Image.Image
    reused: str


@pytest.fixture(scope="module")
def ran(checkpoint: Path, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("plugins")
    shutil.copy(Path(__file__).with_name("every_hook.py"), folder)
    paths = Paths.of(tmp_path_factory.mktemp("home"))
    host = Host.load("both", home=paths.home, selection=Selection(plugins_dir=folder))
    mine = Service(host, paths)
    host.fill()
    assert [s for s in host.states if s.error or s.state != "enabled"] == []
    module = sys.modules["every_hook"]
    fields = {"prompt": "a red circle", "model": str(checkpoint), "steps": 2, "seed": 7, "sampler": "euler"}
    events: list[JobEvent] = []
    result = mine.run(mine.job(mine.request({**fields, "params": {"touch": {"strength": 0.5}}})), events.append)
    picture = Image.open(io.BytesIO(mine.executor.blobs.get(result.artifacts[0].file)))
    infotext = result.artifacts[0].meta["infotext"]
    reused = mine.reuse(infotext)[0]["prompt"]
    assert count_tokens(mine, "a red circle", model=str(checkpoint)).tokens == 3
    mine.close()
    same = service.run(service.job(service.request({**fields, "prompt": "a red circle, touched", "steps": 3})))
    plain = Image.open(io.BytesIO(service.executor.blobs.get(same.artifacts[0].file)))
    job = result.job.request
    yield Ran(module.CALLS, infotext, job.prompt, job.steps, events, picture, plain, reused)
    host.close()


def test_every_hook_is_implemented_and_fires(ran: Ran) -> None:
    assert {name for name in ran.calls if name.startswith("gesso_")} == set(SPECS)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_hook_is_declared_in_order(name: str) -> None:
    spec = SPECS[name]
    info: SpecInfo = spec.info
    assert name.startswith(f"gesso_{info.verb}_")
    assert len(spec.arguments) <= 3
    if info.verb == "register":
        assert info.registry in REGISTRIES
        assert tuple(spec.arguments) == ("registry",)


def test_filters_changed_prompt_request_image_and_metadata(ran: Ran) -> None:
    assert ran.prompt == "a red circle, touched"
    assert ran.steps == 3
    assert ran.reused == "a red circle"
    params = parse_infotext(ran.infotext).params
    assert params["Touch seen"] == "yes, it was: twice"
    assert params["Touch strength"] == "0.5"


def test_wrappers_changed_the_picture_and_were_undone(ran: Ran) -> None:
    mirrored = ImageOps.mirror(ran.picture)
    assert mirrored.tobytes() != ran.plain.tobytes()  # the wrapped denoiser added to every estimate
    assert ran.calls["gesso_wrap_denoise"] == ran.calls["undone: gesso_wrap_denoise"] == 1
    assert ran.calls["gesso_wrap_model"] == ran.calls["undone: gesso_wrap_model"] == 1


def test_events_arrived(ran: Ran) -> None:
    assert ran.calls["gesso_on_step"] == 3
    assert ran.calls["stage"] == 1
    assert ran.calls["gesso_on_job_event"] == len(ran.events)
    assert [e.data["name"] for e in ran.events if e.kind == "metric"].count("touch.sigma") == 3


def test_what_was_not_chosen_went_on(ran: Ran) -> None:
    """choose_ hooks that answer None leave the question to the next plugin: the job was done all the same."""
    for hook in ("header", "weight_reader", "family", "operator", "prompt_parser", "noise_source", "init_latents"):
        assert ran.calls[f"gesso_choose_{hook}"] >= 1
