"""Full differences on the demo model: the effect is seen by the judge, and nothing of it stays."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from gesso import AdapterUse
from gesso.errors import BadFileError, InvalidInputError, UnknownNameError
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso.testing.adapters import digests
from gesso.types import JobEvent
from gesso_builtin.adapters.plugin import AdapterParams, read
from gesso_builtin.demo_model.judge import describe

PROMPT = "a red circle on a white background"
TOKENS = "lora_te_text_model_embeddings_token_embedding"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    paths = Paths.of(tmp_path_factory.mktemp("home"))
    host = Host.load("both", home=paths.home)
    yield Service(host, paths)
    host.close()


@pytest.fixture(scope="module")
def folder(service: Service) -> Path:
    """An adapter that makes the word "red" mean blue, one for another model, a LoRA, and a damaged one."""
    from gesso_builtin.stable_diffusion.tokenizer import tokenizer

    executor: Any = service.executor
    model = executor.residency.acquire(service.library.ref(""))
    words = model.text["clip_l"].module.get_parameter("embeddings.token_embedding.weight").float()
    red, blue = (tokenizer().encode(word).ids[0] for word in ("red", "blue"))
    change = torch.zeros_like(words)
    change[red] = words[blue] - words[red]
    executor.residency.release(service.library.ref(""))
    loras = Paths.of(service.paths.home).models / "loras"
    loras.mkdir(parents=True)
    save_file({f"{TOKENS}.diff": change}, loras / "red is blue.safetensors")
    save_file({"lora_unet_elsewhere.diff": torch.ones(2, 2)}, loras / "foreign.safetensors")
    save_file({"lora_unet_x.lora_down.weight": torch.ones(2, 2)}, loras / "lora.safetensors")
    save_file({f"{TOKENS}.diff": torch.ones(2, 2)}, loras / "wide.safetensors")
    return loras


Make = Callable[..., tuple[Image.Image, str, list[JobEvent]]]


@pytest.fixture(scope="module")
def make(service: Service, folder: Path) -> Make:
    def run(use: str = "", seed: int = 3) -> tuple[Image.Image, str, list[JobEvent]]:
        events: list[JobEvent] = []
        fields: dict[str, Any] = {"prompt": PROMPT, "seed": seed, "steps": 8}
        if use:
            fields["params"] = {"adapters": {"use": use}}
        (artifact,) = service.run(service.job(service.request(fields)), events.append).artifacts
        picture = Image.open(io.BytesIO(service.executor.blobs.get(artifact.file))).convert("RGB")
        return picture, artifact.meta["infotext"], events

    return run


def colour(picture: Image.Image) -> str | None:
    return describe(picture).objects[0].colour


def test_the_effect_grows_with_the_strength_and_leaves_nothing_behind(make: Make) -> None:
    plain, text, _ = make()
    assert "Adapters" not in text
    assert colour(plain) == "red"
    none, _, _ = make("red is blue:0")
    assert none.tobytes() == plain.tobytes()
    full, text, events = make("red is blue:1")
    assert colour(full) == "blue"
    assert 'Adapters: "red is blue:1"' in text
    assert any(event.data.get("stage") == "adapters" for event in events)
    half = _distance(make("red is blue:0.25")[0], plain)
    assert 0 < half < _distance(full, plain)
    assert make()[0].tobytes() == plain.tobytes()


def test_two_add_up_and_the_text_encoder_has_a_strength_of_its_own(make: Make) -> None:
    assert colour(make("red is blue:0.5, red is blue:-1:0.5")[0]) == "blue"


def _distance(a: Image.Image, b: Image.Image) -> float:
    import numpy as np

    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


def test_an_unknown_name_is_an_error_before_the_job_is_queued(service: Service, folder: Path) -> None:
    request = service.request({"prompt": "x", "params": {"adapters": {"use": "red is blu"}}})
    with pytest.raises(UnknownNameError, match="Did you mean 'red is blue'"):
        service.job(request)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [("foreign", InvalidInputError, "fits nothing"), ("lora", BadFileError, "no adapter of a kind"),
     ("wide", InvalidInputError, "has the shape")],
)  # fmt: skip
def test_files_that_do_not_fit_end_in_one_error_and_nothing_changed(
    make: Make, service: Service, name: str, kind: type[Exception], said: str
) -> None:
    executor: Any = service.executor
    model = executor.residency.acquire(service.library.ref(""))
    before = digests(model)
    with pytest.raises(kind, match=said):
        make(name)
    assert digests(model) == before
    executor.residency.release(service.library.ref(""))


def test_what_a_person_may_write() -> None:
    assert read("a:0.5, b , c d:1:0,,") == [AdapterUse("a", 0.5), AdapterUse("b"), AdapterUse("c d", 1, 0)]
    for wrong in ("a:x", ":1", "a:1:2:3", "a:nan", "a:1e9"):
        with pytest.raises(InvalidInputError, match="name:strength"):
            AdapterParams.parse({"use": wrong}, where="adapters")
