"""The list people know: labels and order, names and aliases, default schedules, flags, infotext keys."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import torch
from pydantic.fields import FieldInfo

import gesso_builtin.samplers as package
from gesso import Params, SamplerFn
from gesso_builtin.samplers import plugin
from gesso_builtin.samplers.options import ChurnOptions, EtaDDIMOptions, EtaOptions
from gesso_builtin.samplers.unipc import UniPCOptions
from tools.sampler_cases import SAMPLERS, SCHEDULERS, SD1, Mixture, recorded, tensor

A1111 = [
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
    "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC",
    "LCM",
]  # fmt: skip
FORGE = ["HeunPP2", "IPNDM", "IPNDM_V", "DEIS", "DDPM"]
COMFY = {
    "euler_cfg_pp", "euler_ancestral_cfg_pp", "dpmpp_2m_cfg_pp", "dpmpp_2s_ancestral_cfg_pp", "gradient_estimation",
}  # fmt: skip


def labels(flag: str) -> set[str]:
    return {record.label for record in SAMPLERS if getattr(record, flag)}


def test_the_list_is_a1111s_then_forges() -> None:
    found = list(SAMPLERS)
    assert [record.label for record in found[:25]] == A1111 + FORGE
    assert {record.name for record in found[25:]} == COMFY


def test_default_schedules_as_in_a1111() -> None:
    defaults = {record.label: record.default_scheduler for record in SAMPLERS if record.name not in COMFY}
    karras = ["DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", "Restart"]
    exponential = ["DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"]
    # A1111 runs these on time steps of its own; the nearest schedules to them.
    own = {"DDIM": "ddim", "DDIM CFG++": "ddim", "PLMS": "ddim", "UniPC": "sgm_uniform"}
    special = dict.fromkeys(karras, "karras") | dict.fromkeys(exponential, "exponential") | own
    assert defaults == dict.fromkeys(defaults, "uniform") | special


def test_flags_as_in_a1111() -> None:
    second = {"DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart"}
    assert labels("second_order") == second | {"DPM++ 2S a CFG++"}
    assert labels("discard_penultimate") == {"DPM++ 3M SDE", "DPM2", "DPM2 a"}
    ensd = {"DPM++ 2S a", "Euler a", "DPM2 a", "DPM fast", "DPM adaptive"}
    assert labels("needs_uncond") == {record.label for record in SAMPLERS if "CFG++" in record.label}
    assert labels("uses_ensd") == ensd | {"Euler a CFG++", "DPM++ 2S a CFG++"}


@pytest.mark.parametrize(
    ("alias", "label"),
    [
        ("k_euler_a", "Euler a"), ("k_euler_ancestral", "Euler a"), ("k_dpmpp_2m", "DPM++ 2M"), ("k_lms", "LMS"),
        ("k_dpmpp_2s_a", "DPM++ 2S a"), ("k_dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun"), ("k_dpm_2_a", "DPM2 a"),
        ("k_dpm_fast", "DPM fast"), ("k_dpm_ad", "DPM adaptive"), ("restart", "Restart"), ("ddim_cfgpp", "DDIM CFG++"),
        ("unipc", "UniPC"), ("uni_pc", "UniPC"), ("k_lcm", "LCM"), ("dpmpp_3m_sde_gpu", "DPM++ 3M SDE"),
        ("EULER A", "Euler a"),
    ],
)  # fmt: skip
def test_aliases(alias: str, label: str) -> None:
    assert SAMPLERS.get(alias).label == label


@pytest.mark.parametrize("record", list(SAMPLERS), ids=lambda record: record.name)
def test_every_reference_has_the_contracts_signature(record) -> None:
    contract = [p for p in inspect.signature(SamplerFn.__call__).parameters.values() if p.name != "self"]
    run = inspect.signature(record.run.load()).parameters.values()
    assert [(p.name, p.kind) for p in run] == [(p.name, p.kind) for p in contract]
    assert inspect.getdoc(record.run.load())
    assert record.source


@pytest.mark.parametrize(
    ("options", "pairs"),
    [
        (EtaOptions(eta=0.5, s_noise=1.02), {"Eta": 0.5, "Sigma noise": 1.02}),
        (EtaDDIMOptions(eta=0.3), {"Eta DDIM": 0.3}),
        (
            ChurnOptions(s_churn=5, s_tmin=0.1, s_tmax=9, s_noise=1.01),
            {"Sigma churn": 5, "Sigma tmin": 0.1, "Sigma tmax": 9, "Sigma noise": 1.01},
        ),
        (
            UniPCOptions(order=2, variant="bh2", lower_order_final=False),
            {"UniPC order": 2, "UniPC variant": "bh2", "UniPC lower order final": False},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_infotext_keys_are_a1111s_and_read_back(options: Params, pairs: dict[str, object]) -> None:
    assert options.to_infotext() == pairs
    found = type(options).from_infotext({key: str(value) for key, value in pairs.items()})
    assert type(options).parse(found) == options
    assert type(options)().to_infotext() == {}


RECORDS = {record.options for record in SAMPLERS if record.options} | {r.options for r in SCHEDULERS if r.options}


def other_value(info: FieldInfo) -> object:
    """A value that is not the default and within the bounds."""
    if info.annotation is bool:
        return not info.default
    if get_origin(info.annotation) is Literal:
        return next(value for value in get_args(info.annotation) if value != info.default)
    lowest = next((m.ge for m in info.metadata if hasattr(m, "ge")), 0.01)
    return lowest if lowest != info.default else lowest + 1


@pytest.mark.parametrize("record", sorted(RECORDS, key=str), ids=lambda record: record.__name__)
def test_every_option_survives_infotext(record: type[Params]) -> None:
    chosen = record(**{name: other_value(info) for name, info in record.model_fields.items()})
    pairs = {key: str(value) for key, value in chosen.to_infotext().items()}
    assert len(pairs) == len(record.model_fields)
    assert record.parse(record.from_infotext(pairs)) == chosen


def test_a_new_file_is_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/features/samplers.md, put into the folder, is registered and runs."""
    page = (Path(__file__).parents[3] / "docs" / "features" / "samplers.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    (tmp_path / "half_euler.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    added = {record.name: record for record in plugin.samplers()}["half_euler"]
    data = recorded()
    x, sigmas = tensor([data["x0"]]), tensor(data["sigmas"])
    run = added.run.load()
    result = run(Mixture.of(data), x, sigmas, model=SD1, noise=None, on_step=lambda step: None, options=None)
    assert torch.allclose(result[0], tensor(data["results"]["euler"]))


def test_registering_loads_no_torch() -> None:
    """The host process reads these records and must not import torch."""
    script = (
        "import sys\n"
        "from gesso_builtin.samplers.plugin import samplers\n"
        "from gesso_builtin.schedulers.plugin import schedulers\n"
        "print(len(list(samplers())), len(list(schedulers())), 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["30", "17", "False"]
