"""Re-make docs/samplers_parity.md: `python -m tools.sampler_table` (`--check` only prints what would be written)."""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

from tools.sampler_cases import CONVERGENCE, FLOW, SAMPLERS, SD1
from tools.sampler_references import Comparison, comparisons

PAGE = Path(__file__).resolve().parent.parent / "docs" / "samplers_parity.md"

HEAD = """\
# Samplers and schedules: the numbers

Made by `python -m tools.sampler_table`; the same comparisons run as tests.

Each row runs a built-in in float64 against what another program computes for the same problem and gives the largest
relative error. *ComfyUI* and *Forge* rows are held against numbers recorded from those programs
(`tests/builtin/samplers/data`, `tests/builtin/schedulers/data`), *diffusers* rows against its scheduler of the same
method in the same run. The aim is 10⁻⁶.

## Samplers

"""

NOTES = """
Where and why not:

- **DEIS**, 1e-5: the peers integrate its weights with 10,000 rectangles, which is wrong by about 1e-4 of each weight;
  here the integral is exact. With the peers' quadrature in its place (row *with the peers' quadrature*) the aim is
  met.
- **DPM fast** and the DPM-Solver++ rows near 1e-6: the other side computes its times or coefficients in float32.
- **PLMS**: diffusers takes the last step along the extrapolated slope, here the last step takes the model's estimate.
- **LMS, IPNDM, IPNDM_V**: ComfyUI takes the estimate in the last step, as here; A1111 and Forge extrapolate there
  too.
- **DPM++ 2M on flow models**: extrapolated in log-SNR, as in diffusers; ComfyUI extrapolates in log σ.
- **DDIM, PLMS, UniPC, DDIM CFG++**: A1111 has its own time steps for these and stops one step short of σ = 0. Here
  they take any schedule, *Automatic* being the nearest (DDIM; SGM Uniform for UniPC), and go to 0.
- **Restart** with 20 steps or more, **DDIM CFG++** and the other **CFG++** samplers have no recorded numbers: tests
  hold them against the papers' formulas and against the distribution they must leave unchanged.

## Order of convergence

The probability flow of Gaussian data is known in closed form. Halving the steps divides the error of a solver of
order p by 2ᵖ; measured p, for a variance-exploding and a flow model, noise turned off:

"""

SCHEDULES = """
Multistep methods begin with an Euler step, which caps what one sees at 2 unless the run begins where that step is
exact: the rows from 3 on do. DPM++ 3M SDE stays at 2 even so, since the published third-order term has half the
weight that Taylor's formula asks for. HeunPP2's weights make it first order.

## Schedules

"""

SCHEDULE_NOTES = """
Recorded in float32, so 10⁻⁷ is their own rounding.

- **KL Optimal**: Forge's ends at σ_min without the step to 0; here n steps end in 0, as in ComfyUI. Compared are
  Forge's n + 1 sigmas with ours for n + 1 steps.
- **Turbo**: diffusers builds its table of betas in float32, an error of 2e-6.
- **DDIM** makes a step more than asked for where n does not divide 1000, as in A1111, Forge and ComfyUI.
"""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def parity(rows: Iterable[Comparison]) -> str:
    made = ((row.label, row.reference, row.detail, f"{row.error():.1e}") for row in rows)
    return table(("Label", "Reference", "Case", "Max. error"), made)


def orders() -> str:
    made = []
    for case in CONVERGENCE:
        detail = ", ".join(f"{name} = {value}" for name, value in case.options.items())
        measured = [f"{case.measured(model):.2f}" for model in (SD1, FLOW)]
        made.append((SAMPLERS.get(case.name).label, detail, f"{case.order:g}", *measured))
    return table(("Label", "Options", "Order", "eps, v", "flow"), made)


def page() -> str:
    """The whole page as text."""
    rows = list(comparisons())
    samplers = parity(row for row in rows if row.kind == "sampler")
    schedules = parity(row for row in rows if row.kind == "schedule")
    return HEAD + samplers + NOTES + orders() + SCHEDULES + schedules + SCHEDULE_NOTES


def write(path: Path, text: str) -> None:
    """Replace the file as a whole."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="print the page instead of writing it")
    only_print = parser.parse_args().check
    warnings.filterwarnings("ignore", module="diffusers")
    text = page()
    if only_print:
        print(text)
    else:
        write(PAGE, text)


if __name__ == "__main__":
    main()
