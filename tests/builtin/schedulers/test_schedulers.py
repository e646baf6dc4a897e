"""Every schedule for every kind of model: decreasing, finite, as long as asked, with the ends asked for."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats

from gesso import DiscreteSampling, FlowSampling, InvalidInputError, ModelSampling
from gesso.engine.sampling import check_schedule
from gesso_builtin.schedulers.beta import BetaOptions, beta_quantile
from gesso_builtin.schedulers.options import RangeOptions, RhoOptions
from tools.sampler_cases import SCHEDULERS

MODELS = {
    "eps": DiscreteSampling.from_betas(),
    "v, zero terminal SNR": DiscreteSampling.from_betas(kind="v", zero_terminal_snr=True),
    "flow": FlowSampling(),
    "flow, shift 12": FlowSampling(12.0),
}
NAMES = [record.name for record in SCHEDULERS]
FORGE_LABELS = [
    "Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps",
    "Simple", "Normal", "DDIM", "Beta", "Turbo", "Align Your Steps GITS", "Align Your Steps 11", "Align Your Steps 32",
]  # fmt: skip


def schedule(name: str, n: int, model: ModelSampling, **options: float) -> list[float]:
    record = SCHEDULERS.get(name)
    made = record.options(**options) if record.options else None
    sigmas = record.run.load()(n, model=model, size=(512, 512), options=made)
    assert sigmas.dtype == torch.float64
    assert sigmas.device.type == "cpu"
    return check_schedule(sigmas).tolist()


def test_labels_in_the_order_people_know() -> None:
    labels = [record.label for record in SCHEDULERS]
    assert labels[:16] == FORGE_LABELS
    assert labels[16:] == ["Linear Quadratic"]
    assert SCHEDULERS.get("SGMUniform").name == "sgm_uniform"
    assert {r.name: r.default_rho for r in SCHEDULERS if r.default_rho != -1} == {"karras": 7.0, "polyexponential": 1.0}


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 10, 20, 30, 50, 150])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_on_every_model(name: str, kind: str, n: int) -> None:
    model = MODELS[kind]
    sigmas = schedule(name, n, model)
    # DDIM counts from the first time step up and may make one more; see its docstring.
    expected = len(range(1, 1000, 1000 // n)) if name == "ddim" else n
    assert len(sigmas) == expected + 1
    assert sigmas[-1] == 0
    if name != "ddim":  # noise as strong as the model knows, or what the published tables begin with
        assert sigmas[0] == pytest.approx(model.sigma_max, rel=1e-4)
        assert sigmas[0] >= model.sigma_max * (1 - 1e-9)


@pytest.mark.parametrize(
    "name", ["karras", "exponential", "polyexponential", "kl_optimal", "sgm_uniform", "normal", "beta"]
)
def test_ends_can_be_chosen(name: str) -> None:
    sigmas = schedule(name, 12, MODELS["eps"], sigma_min=0.1, sigma_max=8.0)
    assert sigmas[0] == pytest.approx(8.0)
    if name != "sgm_uniform":
        assert sigmas[-2] == pytest.approx(0.1)


def test_rho_bends_and_zero_means_the_schedules_own() -> None:
    model = MODELS["eps"]
    assert schedule("karras", 9, model, rho=0) == schedule("karras", 9, model, rho=7)
    assert schedule("karras", 9, model, rho=3)[4] > schedule("karras", 9, model, rho=7)[4]
    assert schedule("polyexponential", 9, model) == pytest.approx(schedule("exponential", 9, model))
    assert schedule("polyexponential", 9, model, rho=2)[4] < schedule("polyexponential", 9, model)[4]


def test_beta_options_move_the_steps() -> None:
    model = MODELS["eps"]
    late, early = schedule("beta", 20, model, alpha=0.3), schedule("beta", 20, model, beta=0.3)
    assert sum(sigma < 1 for sigma in late) > sum(sigma < 1 for sigma in early)


@pytest.mark.parametrize("a", [0.01, 0.1, 0.6, 1.0, 5.0])
@pytest.mark.parametrize("b", [0.01, 0.1, 0.6, 1.0, 5.0])
def test_beta_quantiles_are_scipys(a: float, b: float) -> None:
    for i in range(21):
        expected = stats.beta.ppf(i / 20, a, b)
        assert beta_quantile(i / 20, a, b) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_published_tables_keep_the_signal_to_noise_ratio_on_flow_models() -> None:
    eps, flow = schedule("align_your_steps", 10, MODELS["eps"]), schedule("align_your_steps", 10, MODELS["flow"])
    assert flow[0] == 1.0
    for a, b in zip(eps[1:-1], flow[1:-1], strict=True):
        assert b / (1 - b) == pytest.approx(a)


def test_sdxl_has_its_own_table() -> None:
    sdxl = DiscreteSampling.from_betas(tables="sdxl")
    assert schedule("align_your_steps", 11, sdxl)[1] == pytest.approx(6.315)
    assert schedule("align_your_steps", 11, MODELS["eps"])[1] == pytest.approx(6.475)


def test_linear_quadratic_is_smooth_where_its_halves_meet() -> None:
    sigmas = schedule("linear_quadratic", 400, MODELS["flow"])
    widths = [a - b for a, b in pairwise(sigmas)]
    assert widths[0] == pytest.approx(0.025 / 200)
    assert widths[200] == pytest.approx(widths[199], rel=0.2)
    assert sigmas[200] == pytest.approx(1 - 0.025)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sigma_min": 5.0, "sigma_max": 2.0}, "min sigma .5. must be smaller"),
        ({"sigma_min": 20.0}, "must be smaller"),
    ],
)
def test_ends_that_do_not_fit_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        schedule("karras", 10, MODELS["eps"], **options)


def test_a_flow_model_ends_at_one() -> None:
    with pytest.raises(InvalidInputError, match="beyond the end"):
        schedule("karras", 10, MODELS["flow"], sigma_max=14.6)


def test_infotext_keys_are_a1111s() -> None:
    assert RhoOptions(rho=5, sigma_min=0.1, sigma_max=10).to_infotext() == {
        "Schedule min sigma": 0.1, "Schedule max sigma": 10, "Schedule rho": 5,
    }  # fmt: skip
    assert RangeOptions().to_infotext() == {}
    for word in ("schedule", "scheduler"):  # A1111 writes one and reads the other
        found = BetaOptions.from_infotext({f"Beta {word} alpha": "0.4", f"Beta {word} beta": "0.5"})
        assert BetaOptions.parse(found) == BetaOptions(alpha=0.4, beta=0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_options_that_are_no_sigmas_are_refused(value: float) -> None:
    with pytest.raises(InvalidInputError, match="sigma_max"):
        RangeOptions.parse({"sigma_max": value})
