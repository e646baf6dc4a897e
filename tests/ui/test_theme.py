"""The token table: contrast, and that style sheets know no colour beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gesso_ui.theme import PAIRS, THEMES, TOKENS, contrast, stylesheet

ROOT = Path(__file__).parents[2]
SHEETS = sorted([*(ROOT / "ui").rglob("*.css"), *(ROOT / "builtin_extensions").rglob("*.css")])


def test_contrast_is_as_wcag_defines_it():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the well-known grey that just fails


@pytest.mark.parametrize("theme", THEMES)
def test_every_pair_has_the_contrast_it_needs(theme):
    place = THEMES.index(theme)
    low = {}
    for (front, back), least in PAIRS.items():
        found = contrast(TOKENS[front][place], TOKENS[back][place])
        if found < (7 if theme == "contrast" and least == 4.5 else least):
            low[front, back] = round(found, 2)
    assert low == {}


def test_every_token_is_of_use_somewhere_and_every_name_is_a_token():
    made = stylesheet()
    known = set(re.findall(r"--(g-[a-z0-9-]+):", made))
    for sheet in SHEETS:
        wrong = set(re.findall(r"var\(--(g-[a-z0-9-]+)", sheet.read_text("utf-8"))) - known
        assert wrong == set(), sheet
    assert {f"g-{name}" for name in TOKENS} <= known


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_style_sheets_name_tokens_and_no_colours(sheet):
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text("utf-8"), flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)|\b(?:rgba?|hsla?|oklch)\(", text) == []
    assert re.findall(r":[^;{}]*\b(?:white|black|red|green|blue|gr[ae]y|orange|yellow)\b(?=[^{}]*;)", text) == []
