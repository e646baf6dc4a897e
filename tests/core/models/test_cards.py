"""What stands beside a model: previews and descriptions as A1111 and the Civitai helpers write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gesso.models.cards import Card, read_card

OWN = {
    "description": "Outlines only", "sd version": "SD1", "activation text": "outline, thin lines",
    "preferred weight": 0.8, "negative text": "filled", "notes": "try 20 steps",
}  # fmt: skip
CIVITAI = {
    "id": 7, "modelId": 3, "name": "v2", "trainedWords": ["line art", " ink "], "baseModel": "SD 1.5",
    "description": "<p>Fine &amp; clean.</p><ul><li>one</li><li>two</li></ul>", "model": {"name": "Lines"},
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "lines.v1.5.safetensors"
    path.write_bytes(b"")
    return path


def beside(model: Path, end: str, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (model.parent / f"lines.v1.5{end}").write_text(text, encoding="utf-8")


def test_a1111s_own(model: Path) -> None:
    beside(model, ".json", OWN)
    beside(model, ".civitai.info", CIVITAI)
    beside(model, ".preview.png", "")
    assert read_card(model) == Card(
        preview=model.parent / "lines.v1.5.preview.png", description="Outlines only", notes="try 20 steps",
        base_model="SD1", trigger_words=("outline, thin lines",), negative_words="filled", preferred_weight=0.8,
        model_id=3, version_id=7,
    )  # fmt: skip


def test_civitais(model: Path) -> None:
    beside(model, ".civitai.info", CIVITAI)
    card = read_card(model)
    assert (card.base_model, card.trigger_words) == ("SD 1.5", ("line art", "ink"))
    assert card.description == "Fine & clean.\none\ntwo"


def test_a_description_and_the_files_own_metadata(model: Path) -> None:
    stated = {"modelspec.description": "said by the file", "modelspec.trigger_phrase": "lines"}
    assert read_card(model, stated).description == "said by the file"
    beside(model, ".txt", "\ufeffby hand\n")
    card = read_card(model, stated)
    assert (card.description, card.trigger_words) == ("by hand", ("lines",))
    (model.parent / "lines.v1.5.txt").unlink()
    beside(model, ".description.txt", "described")
    assert read_card(model).description == "described"


@pytest.mark.parametrize(
    ("names", "wins"),
    [([".png", ".preview.png", ".jpg"], ".png"), ([".preview.png", ".jpg"], ".preview.png"),
     ([".preview.jpeg", ".webp"], ".preview.jpeg"), ([".gif"], ".gif")],
)  # fmt: skip
def test_previews_in_a1111s_order(model: Path, names: list[str], wins: str) -> None:
    for name in names:
        beside(model, name, "")
    assert read_card(model).preview == model.parent / f"lines.v1.5{wins}"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", '{"description": 5, "activation text": [1, null], "preferred weight": "x", "id": true}',
     "[" * 100_000, '{"description": "' + "<" * 3_000_000 + '"}'],
)  # fmt: skip
def test_damaged_sidecars_say_nothing(model: Path, content: str) -> None:
    beside(model, ".json", content)
    beside(model, ".civitai.info", content)
    card = read_card(model)
    assert (card.trigger_words, card.preferred_weight, card.version_id) == ((), None, None)


def test_a_model_folder_has_its_card_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pipe.v1").mkdir()
    (tmp_path / "pipe.v1.png").write_bytes(b"")
    assert read_card(tmp_path / "pipe.v1").preview == tmp_path / "pipe.v1.png"
