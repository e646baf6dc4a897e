"""Texts by key, in several languages, from files of two shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gesso import BadFileError, Catalog, text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "en": {"a.look": "Look", "a.found": "{count} found", "a.of": "The tab {tab}", "b.only": "English only"},
        "de": {"a.look": "Nachsehen", "a.found": "{count} gefunden", "gone": "weg", "a.bad": '<b>"x"</b>', "a.of": ""},
        "zh_CN": {"a.look": "查看", "shell.language_name": "简体中文"},
        "ja": {"Look": "見る", "Seed": "シード"},  # A1111's flat shape
    }
    for name, data in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    return tmp_path


def test_a_text_is_a_string_until_it_is_sent(folder: Path) -> None:
    catalog = Catalog([folder])
    html = f"<p title='{text('a.look')}'>{text('a.found', count=3)}</p>"
    assert catalog.translate(html, "de") == "<p title='Nachsehen'>3 gefunden</p>"
    assert catalog.translate(html, "en") == "<p title='Look'>3 found</p>"
    assert catalog.translate(html, "ja") == "<p title='見る'>3 found</p>", "flat files are looked up by the English"
    assert catalog.translate("no marks", "de") == "no marks"


@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_stays_json_whatever_is_in_it(folder: Path, ascii_only: bool) -> None:
    (folder / "de.json").write_text(json.dumps({"a.of": "Der Reiter\n{tab}\\"}), encoding="utf-8")
    catalog = Catalog([folder])
    body = json.dumps({"label": text("a.of", tab='"quoted" \\ {tab}')}, ensure_ascii=ascii_only)
    assert json.loads(catalog.translate(body, "de", in_json=True)) == {"label": 'Der Reiter\n"quoted" \\ {tab}\\'}


def test_texts_in_texts_defaults_and_keys_nobody_has(folder: Path) -> None:
    catalog = Catalog([folder], {"params.x.seed": "Seed"})
    assert catalog.translate(text("a.of", tab=text("a.look")), "de") == "The tab Nachsehen", "an empty entry is none"
    assert catalog.translate(text("params.x.seed", "Seed"), "ja") == "シード"
    assert catalog.translate(text("tabs.odd", "Odd = 1"), "de") == "Odd = 1"
    assert catalog.translate(text("nobody.knows"), "de") == "nobody.knows"
    assert catalog.translate("\ue000" * 5 + "\ue002", "de") == "\ue000" * 4, "what a person pasted breaks nothing"


def test_the_language_is_what_fits_best(folder: Path) -> None:
    catalog = Catalog([folder])
    assert catalog.match("", "auto-nonsense", "fr;q=0.9, de-AT;q=0.8, en;q=0.5") == "de"
    assert catalog.match("", "zh-TW,zh;q=0.9") == "zh_CN"
    assert catalog.match("ja", "de") == "ja"
    assert catalog.match("", "tlh") == "en"
    assert catalog.languages == {"en": "en", "de": "de", "ja": "ja", "zh_CN": "简体中文"}


def test_the_report_names_what_is_missing_stale_and_unusable(folder: Path) -> None:
    report = Catalog([folder], {"params.x.seed": "Seed"}).report("de")
    assert report.missing == ("a.of", "b.only", "params.x.seed")
    assert report.stale == ("gone",)
    assert "a.bad" in report.unusable[0]
    flat = Catalog([folder], {"params.x.seed": "Seed"}).report("ja")
    assert (flat.stale, "a.look" in flat.missing, "params.x.seed" in flat.missing) == ((), False, False)


def test_later_folders_win_and_a_broken_file_is_named(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    own = tmp_path_factory.mktemp("own")
    (own / "de.json").write_text('{"a.look": "Schau"}', encoding="utf-8")
    assert Catalog([folder, own]).get("a.look", "de") == "Schau"
    (own / "de.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadFileError, match=r"de\.json"):
        Catalog([folder, own])
