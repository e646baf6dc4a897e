"""A1111's own parser and ours on 188 prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gesso_builtin.prompt_syntax.attention import parse_attention
from gesso_builtin.prompt_syntax.composition import split_and
from gesso_builtin.prompt_syntax.schedule import Clock, expand

CASES = json.loads((Path(__file__).parent / "data" / "prompts.json").read_text(encoding="utf-8"))["cases"]


# In a prompt with stray brackets behind a construct, A1111's ambiguous grammar leaves some constructs as text and takes
# equal ones before them. Ours takes every construct that is whole.
ARGUED = {
    "(](x:1.3)[)[a:b:0.3][a:b:0.3]((": ["(](x:1.3)[)aa((", "(](x:1.3)[)bb(("],
    "[a:b:0.3]cat(x:1.3)[a:b:0.3](]cat\\|": ["acat(x:1.3)a(]cat\\|", "bcat(x:1.3)b(]cat\\|"],
}


def names() -> list[str]:
    return [case["prompt"][:60] or "empty" for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=names())
def test_attention(case: dict[str, Any]) -> None:
    runs = parse_attention(case["prompt"])
    assert [run.text for run in runs] == [text for text, _ in case["attention"]]
    assert [run.weight for run in runs] == pytest.approx([weight for _, weight in case["attention"]], rel=1e-12)


@pytest.mark.parametrize("case", CASES, ids=names())
def test_schedules(case: dict[str, Any]) -> None:
    if case["prompt"] in ARGUED:
        assert [text for _, text in expand(case["prompt"], Clock(10))] == ARGUED[case["prompt"]]
        return
    for key, clock in {
        "schedule_10": Clock(10), "schedule_20": Clock(20), "schedule_hires_20_10": Clock(10, passed=20)
    }.items():  # fmt: skip
        assert [list(item) for item in expand(case["prompt"], clock)] == case[key], key


@pytest.mark.parametrize("case", CASES, ids=names())
def test_and(case: dict[str, Any]) -> None:
    assert [list(item) for item in split_and(case["prompt"])] == case["and"]
