"""Requests, jobs and files; settings; infotext pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import gesso
from gesso.errors import BadFileError, InvalidInputError, UnknownNameError
from gesso.families import stated_defaults
from gesso.pairs import effective_scheduler, job_pairs, ordered_pairs, request_fields
from gesso.paths import Paths
from gesso.plugins.host import Host, Selection
from gesso.service import Service
from gesso.settings import CoreSettings, Settings
from gesso.types import Job, Request

Ask = Callable[..., Request]


def test_what_is_not_given_comes_from_the_model(service: Service, checkpoint: Path) -> None:
    request = service.request({"prompt": "x", "model": str(checkpoint)})
    assert (request.width, request.height) == (64, 64)  # the file's modelspec.resolution
    assert (request.steps, request.sampler, request.scheduler) == (20, "dpmpp_2m", "automatic")
    assert service.request({"prompt": "x", "model": str(checkpoint), "width": 128}).width == 128


def test_a_file_may_state_where_it_starts(service: Service, checkpoint: Path, tmp_path: Path) -> None:
    said = {"cfg_scale": 4, "steps": 9, "sampler": "never_installed", "scheduler": "karras", "seed": 3}
    with safe_open(checkpoint, "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "own.safetensors", {"gesso.defaults": json.dumps(said)})
    request = service.request({"prompt": "x", "model": str(tmp_path / "own.safetensors")})
    assert (request.cfg_scale, request.steps, request.sampler, request.scheduler) == (4, 9, "dpmpp_2m", "karras")
    assert request.seed == -1
    assert service.request({"prompt": "x", "model": str(tmp_path / "own.safetensors"), "cfg_scale": 2}).cfg_scale == 2


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[1]", "[" * 100_000, '{"steps": 1e9}', '{"steps": true, "cfg_scale": "7"}', '{"cfg_scale": NaN}'],
)
def test_what_a_file_states_wrongly_is_left_out(text: str) -> None:
    metadata = {"gesso.defaults": text, "modelspec.resolution": "9" * 5000 + "x64"}
    assert stated_defaults(metadata) == {}


@pytest.mark.parametrize(
    ("given", "sampler", "scheduler"),
    [
        ({"sampler": "DPM++ 2M Karras"}, "dpmpp_2m", "automatic"),
        ({"sampler": "Euler Karras"}, "euler", "karras"),
        ({"sampler": "k_euler_a", "scheduler": "SGM Uniform"}, "euler_ancestral", "sgm_uniform"),
        ({"sampler": "Euler Karras", "scheduler": "simple"}, "euler", "simple"),
    ],
)
def test_names_are_resolved(ask: Ask, given: dict[str, str], sampler: str, scheduler: str) -> None:
    request = ask(**given)
    assert (request.sampler, request.scheduler) == (sampler, scheduler)


def test_a_job_holds_everything_that_changes_the_picture(service: Service, ask: Ask) -> None:
    job = service.job(ask(seed=-1))
    assert 0 <= job.request.seed < 2**32
    assert job.model is not None
    assert len(job.model.hash) == 64
    assert job.versions == {"gesso": gesso.__version__}
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_unknown_sections_and_sizes_are_refused(service: Service, ask: Ask) -> None:
    with pytest.raises(UnknownNameError, match="Unknown plugin parameter section 'hirse'"):
        ask(params={"hirse": {}})
    with pytest.raises(InvalidInputError, match=r"Try 96 or 104"):
        service.job(ask(width=100))


def test_saved_files_are_numbered_and_never_overwritten(service: Service, ask: Ask) -> None:
    result = service.run(service.job(ask(steps=1)))
    first = service.save(result).files[0]
    second = service.save(result).files[0]
    assert (first.name, second.name) == ("00000-7.png", "00001-7.png")
    assert first.parent.parent == service.outputs_folder()
    assert first.read_bytes() == second.read_bytes()


# --- pairs --------------------------------------------------------------------------------------------------------


def test_pairs_stand_in_a1111s_order(service: Service, ask: Ask) -> None:
    job = service.job(ask(sampler="DPM++ SDE", params={"sampler": {"eta": 0.5}}))
    pairs = job_pairs(service.host, job, seed=9)
    assert list(pairs) == [
        "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model", "RNG", "Eta", "Version"
    ]  # fmt: skip
    assert (pairs["Schedule type"], pairs["Seed"], pairs["CFG scale"]) == ("Karras", 9, 7)


def test_features_pairs_are_put_where_a1111_has_them() -> None:
    given = {"Version": "x", "Mine": 1, "Tiling": True, "Seed": 7, "Steps": 3, "Clip skip": 2, "Other": 2}
    assert list(ordered_pairs(given)) == ["Steps", "Seed", "Clip skip", "Tiling", "Mine", "Other", "Version"]


def test_the_effective_schedule_is_written(service: Service) -> None:
    assert effective_scheduler(service.host, "dpmpp_2m", "automatic").label == "Karras"
    assert effective_scheduler(service.host, "euler", "automatic").label == "Automatic"
    assert effective_scheduler(service.host, "euler", "simple").label == "Simple"


def test_texts_of_others_become_requests(service: Service) -> None:
    pairs = {
        "Steps": "12", "Sampler": "DPM++ 2M Karras", "CFG scale": "3.5", "Seed": "42", "Size": "64x128",
        "Model hash": "0123456789", "Hires upscale": "2", "Version": "v1.10.1",
    }  # fmt: skip
    fields, unknown = request_fields(service.host, "a", "b", pairs)
    assert (fields["sampler"], fields["scheduler"], fields["width"], fields["height"]) == (
        "dpmpp_2m", "automatic", 64, 128
    )  # fmt: skip
    assert unknown == {"Hires upscale": "2"}
    assert (fields["model"], fields["steps"]) == ("0123456789", "12")


# --- settings -----------------------------------------------------------------------------------------------------


def test_settings_are_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"of_a_disabled_plugin": {"version": 1, "x": 5}}))
    settings = Settings(path)
    settings.save("core", CoreSettings(dtype="bf16"))
    assert Settings(path).section("core", CoreSettings) == CoreSettings(dtype="bf16")
    stored = json.loads(path.read_text())
    assert stored["core"] == {"version": 1, "dtype": "bf16"}
    assert stored["of_a_disabled_plugin"] == {"version": 1, "x": 5}


@pytest.mark.parametrize("text", ["{", "[]", '{"core": 1}'])
def test_a_broken_settings_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises((BadFileError, InvalidInputError), match=r"settings\.json"):
        Settings(tmp_path / "settings.json")


# --- without plugins ----------------------------------------------------------------------------------------------


def test_no_plugin_at_all_boots(tmp_path: Path) -> None:
    service = Service(Host.load("both", home=tmp_path, selection=Selection(only=())), Paths.of(tmp_path))
    assert len(service.host.registry("samplers")) == 0
    with pytest.raises(InvalidInputError, match="no model"):
        service.request({"prompt": "x"})
