"""Sampling on the demo model ends where it did: tools/make_goldens.py re-makes the file and states the tolerance."""

from __future__ import annotations

from tools.make_goldens import CASES, TOLERANCE, differences


def test_latents_are_the_golden_ones() -> None:
    found = differences()
    assert found.keys() == CASES.keys()
    assert {name: value for name, value in found.items() if not value <= TOLERANCE} == {}
