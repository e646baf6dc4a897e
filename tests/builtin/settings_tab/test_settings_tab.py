"""Every setting is in the form, stored as it is changed, and given back; nonsense changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gesso import Params, SettingsSection, param
from gesso.testing import headless_page, load_host
from gesso_builtin.settings_tab.routes import build


class Odd(Params):
    """A field of every kind."""

    flag: bool = param(False, label="Flag", description="Is it <b>so</b>?")
    size: int = param(7, ge=1, le=9, label="Size", unit="px")
    share: float = param(0.5, ge=0, le=1)
    kind: str = param("a", choices=("a", "b"))
    sampler: str = param("gone", choices="registry:samplers")
    names: list[str] = param([])
    table: dict[str, int] = param({}, advanced=True)


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with load_host(["settings_tab", "samplers", "outputs"]) as host, headless_page(host) as found:
        host.registry("settings").add(
            SettingsSection(name="odd", label="Odd one", params=Odd), owner="gesso:settings_tab"
        )
        yield found


@pytest.fixture(scope="module")
def client(page: Any) -> TestClient:
    app = FastAPI()
    app.include_router(build(page.service))
    return TestClient(app)


def post(client: TestClient, what: str, field: str, value: str = "", section: str = "odd") -> Any:
    return client.post(f"/{what}", json={"section": section, "field": field, "value": value})


def stored(page: Any) -> Odd:
    return page.service.settings.section("odd", Odd)


def test_every_setting_has_a_row_with_the_right_control(client: TestClient, page: Any) -> None:
    html = client.get("/form").text
    wanted = {(name, field) for name, record in page.service.sections().items() for field in record.model_fields}
    assert set(re.findall(r'data-section="([\w.]+)" data-field="(\w+)"', html)) == wanted
    rows = dict(re.findall(r'data-section="odd" data-field="(\w+)"(.*?)</div></div>', html))
    assert 'type="checkbox"' in rows["flag"]
    assert "&lt;b&gt;so&lt;/b&gt;" in rows["flag"]
    assert 'type="number"' in rows["size"]
    assert 'min="1" max="9" value="7"' in rows["size"]
    assert "px</span>" in rows["size"]
    assert '<option value="b">' in rows["kind"]
    assert '<option value="gone" selected>' in rows["sampler"]  # what is not here now is not lost
    assert '<option value="euler">' in rows["sampler"]
    assert "<textarea" in rows["table"]
    assert html.index('data-field="table"') > html.index("<details")
    labelled = set(re.findall(r'<label for="([^"]+)"', html))
    assert labelled == set(re.findall(r' id="(setting-[\w.-]+?)" aria-describedby', html))


def test_set_and_reset(client: TestClient, page: Any) -> None:
    for field, value, kept in (
        ("flag", "true", True), ("size", "9", 9), ("share", "0.25", 0.25), ("kind", "b", "b"),
        ("names", "x, y", ["x", "y"]), ("table", '{"a": 1}', {"a": 1}), ("sampler", "heun", "heun"),
    ):  # fmt: skip
        answer = post(client, "set", field, value)
        assert answer.status_code == 200, answer.text
        assert " data-changed" in answer.text
        assert getattr(stored(page), field) == kept
    assert 'value="x, y"' in client.get("/form").text
    answer = post(client, "reset", "size")
    assert (" data-changed" in answer.text, stored(page).size, stored(page).share) == (False, 7, 0.25)
    on_disk = json.loads(page.service.settings.path.read_text())["odd"]
    assert "size" not in on_disk


@pytest.mark.parametrize(
    ("what", "field", "value", "section", "message"),
    [
        ("set", "size", "10", "odd", "less than or equal to 9"),
        ("set", "size", "many", "odd", "size"),
        ("set", "table", "{", "odd", "takes JSON"),
        ("set", "sise", "1", "odd", "Did you mean"),
        ("set", "size", "1", "od", "Unknown settings section"),
        ("reset", "sise", "", "odd", "Did you mean"),
    ],
)
def test_what_is_wrong_changes_nothing(
    client: TestClient, page: Any, what: str, field: str, value: str, section: str, message: str
) -> None:
    before = stored(page)
    answer = post(client, what, field, value, section)
    assert (answer.status_code, message in answer.json()["detail"]) == (409, True)
    assert stored(page) == before
