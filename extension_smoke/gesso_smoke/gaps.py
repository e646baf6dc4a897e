"""Known gaps: what bundled plugins are known to fail, with reasons. The list may only shrink."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gesso_smoke.run import Result

FILE = Path(__file__).with_name("known_gaps.toml")


@dataclass(frozen=True)
class Gap:
    """A check that a plugin's record is known to fail."""

    plugin: str
    check: str
    record: str
    reason: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.plugin, self.check, self.record


def known_gaps(file: Path = FILE) -> list[Gap]:
    """The entries of the file. ValueError for one without a reason."""
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("gap", [])
    gaps = [Gap(e["plugin"], e["check"], e.get("record", ""), e["reason"]) for e in entries]
    for gap in gaps:
        if not gap.reason.strip():
            raise ValueError(f"The gap {gap.key} has no reason.")
    return gaps


def with_gaps(results: Sequence[Result], gaps: Sequence[Gap]) -> list[Result]:
    """The results with known failures as gaps, and with a gap that has closed as a failure, so that its entry goes."""
    reasons = {gap.key: gap.reason for gap in gaps}
    found = []
    for result in results:
        reason = reasons.get(result.key)
        if reason is not None and result.outcome == "fail":
            result = replace(result, outcome="gap", message=f"{reason} ({result.message})")
        elif reason is not None and result.outcome == "pass":
            result = replace(result, outcome="fail", message="It holds now: take it out of known_gaps.toml.")
        found.append(result)
    return found
