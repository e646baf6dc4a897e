"""The page that `python -m tools.sampler_table` writes: every comparison is there, and no error above its aim."""

from tools.sampler_cases import SAMPLERS, SCHEDULERS
from tools.sampler_references import comparisons
from tools.sampler_table import PAGE


def test_the_page_has_every_comparison_within_its_tolerance() -> None:
    lines = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and "e-" in line)
    written = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    rows = list(comparisons())
    assert [row[:3] for row in written] == [
        *((r.label, r.reference, r.detail) for r in rows if r.kind == "sampler"),
        *((r.label, r.reference, r.detail) for r in rows if r.kind == "schedule"),
    ]
    tolerances = {(r.label, r.reference, r.detail): r.tolerance for r in rows}
    assert not [row for row in written if float(row[3]) > tolerances[row[:3]]]


def test_what_no_other_program_was_asked_for_is_said_on_the_page() -> None:
    text, compared = PAGE.read_text(encoding="utf-8"), {(row.kind, row.name) for row in comparisons()}
    alone = [s.label for s in SAMPLERS if ("sampler", s.name) not in compared]
    alone += [s.label for s in SCHEDULERS if ("schedule", s.name) not in compared and s.name != "automatic"]
    notes = " ".join(line for line in text.splitlines() if not line.startswith("|"))
    assert not [label for label in alone if label not in notes and not label.endswith("CFG++")]
