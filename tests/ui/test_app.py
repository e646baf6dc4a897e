"""The application over HTTP, without a browser: who may ask, what is served, what stays out of this process."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from html import unescape

import pytest
from sqlalchemy import text as sql
from starlette.testclient import TestClient

from gesso import InvalidInputError, PageSettings, text
from gesso.types import JobEvent
from gesso_ui.app import make_app
from gesso_ui.live import Live
from gesso_ui.page import in_order
from gesso_ui.server import listen, serve
from gesso_ui.session import COOKIE, session_in

URL = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def client(service):
    with TestClient(make_app(service), base_url=URL) as made:
        yield made


def config(page: str):
    return json.loads(re.search(r"window\.gradio_config = (\{.*?\});</script>", page, re.DOTALL)[1])


def test_the_page_has_all_tabs_and_a_card_for_the_broken_one(client):
    components = config(client.get("/").text)["components"]
    tabs = [c["props"]["label"] for c in components if c["type"] == "tabitem"]
    assert [tab for tab in tabs if tab in ("txt2img", "img2img", "Broken", "Plain")] == [
        "txt2img", "img2img", "Broken", "Plain"
    ]  # fmt: skip
    card = next(c["props"]["value"] for c in components if "half a tab" in str(c["props"].get("value")))
    assert "<b>" not in card, "a plugin's text is text"
    assert "ZeroDivisionError: <b>half a tab</b>" in unescape(card)
    assert "local:odd" in card
    assert not any(c["props"].get("value") == "never seen" for c in components)


def test_panels_stand_in_every_generation_tab_and_a_broken_one_is_a_card(client):
    components = config(client.get("/").text)["components"]
    ids = [c["props"].get("elem_id") for c in components]
    assert {"txt2img-shout", "img2img-shout"} <= set(ids)
    cards = [str(c["props"]["value"]) for c in components if "gesso-card" in str(c["props"].get("value"))]
    broken = [card for card in cards if "Half a panel" in card]
    assert len(broken) == 2
    assert all("local:odd" in card and "no_such_field" in card for card in broken)
    assert not any(c["props"].get("value") == "never seen either" for c in components)


def test_a_plugins_style_sheet_is_linked_and_served(client):
    assert '<link rel="stylesheet" href="gesso/assets/odd.css">' in client.get("/").text
    answer = client.get("/gesso/assets/odd.css")
    assert (answer.headers["content-type"].split(";")[0], "#odd-ask" in answer.text) == ("text/css", True)
    for name in ("plugin.py", "odd.js", "..%2fplugin.py", "nobody.css"):
        assert client.get(f"/gesso/assets/{name}").status_code == 404


def test_each_reader_gets_the_own_language_and_theme(client):
    def label(headers):
        page = client.get("/", headers=headers).text
        button = next(c for c in config(page)["components"] if c["props"].get("elem_id") == "txt2img-shout")
        return button["props"]["value"], re.search(r'<html[^>]*data-theme="(\w+)"', page)[1]

    assert label({}) == ("Shout", "dark")
    assert label({"accept-language": "de-DE,de;q=0.9"}) == ("Rufen", "dark")
    cookie = "gesso_language=de; gesso_theme=contrast"
    assert label({"cookie": cookie, "accept-language": "en"}) == ("Rufen", "contrast")
    assert label({"cookie": "gesso_language=../x; gesso_theme=<script>"}) == ("Shout", "dark")
    assert "\ue000" not in client.get("/").text
    assert "\\ue000" not in client.get("/config").text


def test_tabs_are_in_the_order_a_person_wants_and_hidden_by_css_alone(service, client):
    names = [tab.name for tab in in_order(service.host.registry("tabs"), ["plain", "img2img", "nobody"])]
    assert names[:3] == ["plain", "img2img", "txt2img"]
    service.settings.save("page", PageSettings(hidden_tabs=["plain", "nobody"], theme="light"))
    try:
        page = client.get("/").text
        assert "tab-plain-button" in page.partition("</head>")[0]
        assert "Plain" in [c["props"].get("label") for c in config(page)["components"]], "hidden, and there"
        assert 'data-theme="light"' in page
    finally:
        service.settings.save("page", PageSettings())
    assert "tab-plain-button" not in client.get("/").text.partition("</head>")[0]


def test_everything_comes_from_here(client):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert not re.search(r"https?://(?!127\.0\.0\.1)", policy)
    assert not re.search(r"<(script|link)[^>]+(src|href)=.https?://(?!127\.0\.0\.1)", answer.text)
    assert config(answer.text)["analytics_enabled"] is False
    assert "fonts.googleapis" not in client.get("/theme.css").text


def test_a_session_is_given_once_and_kept(client, service):
    client.cookies.clear()
    first = client.get("/gesso/live")
    given = first.headers["set-cookie"]
    assert "HttpOnly" in given
    assert "SameSite=Strict" in given
    assert re.fullmatch("[0-9a-f]{32}", session_in(given))
    assert "set-cookie" not in client.get("/gesso/live").headers
    assert "set-cookie" in client.get("/", headers={"cookie": f"{COOKIE}=<script>"}).headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_another_hosts_name_is_refused(client, host):
    assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/gesso/live", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7860", "127.0.0.1:9", "[::1]:7860"])
def test_this_machines_names_are_answered(client, host):
    assert client.get("/gesso/live", headers={"host": host}).status_code == 200


def test_files_are_served_by_hash_and_nothing_else(client, service):
    ref = service.queue.store.files.put(b"\x89PNG not really", "image/png")
    answer = client.get(f"/gesso/file/{ref.sha256}.png")
    assert (answer.content, answer.headers["content-type"]) == (b"\x89PNG not really", "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"
    html = service.queue.store.files.put(b"<script>alert(1)</script>", "text/html")
    assert client.get(f"/gesso/file/{html.sha256}.html").headers["content-type"] == "application/octet-stream"
    for name in ("0" * 64, f"{ref.sha256[:-1]}G", "..%2f..%2fgesso.sqlite3", "../gesso.sqlite3", f"{ref.sha256}/x"):
        assert client.get(f"/gesso/file/{name}").status_code == 404


def test_live_tells_each_session_of_its_own_work(service):
    queue = service.queue
    live = Live(service)
    queue.pause("a test")
    try:
        one = service.submit({"prompt": "x", "model": "shapes", "steps": 1}, owner="one")
        service.submit({"prompt": "y", "model": "shapes", "steps": 1}, owner="two")
        mine, other, nobody = (live.snapshot(owner) for owner in ("one", "two", "three"))
        assert (mine["waiting"], mine["ahead"], mine["job"]) == (1, 0, None)
        assert (other["waiting"], other["ahead"]) == (1, 1)
        assert (nobody["waiting"], nobody["job"]) == (0, None)
        assert mine["engine"] == text("shell.live.paused", reason="a test")
        before = live.snapshot("one")["made"]
        queue.cancel(one.id)
        assert live.snapshot("one")["made"] != before
        assert live.snapshot("two")["made"] == other["made"], "others' pages have nothing new to fetch"
        assert live.snapshot("one")["waiting"] == 0
    finally:
        queue.cancel_all()
        queue.resume()


def test_a_preview_is_sent_once(service):
    """On a job that this test holds itself, while the runner rests."""
    live, queue = Live(service), service.queue
    queue.pause()
    record = service.submit({"prompt": "x", "model": "shapes"}, owner="watcher")
    queue.wait(record.id, 0)
    service.progress.event(JobEvent(job=record.id, kind="state", data={"state": "running"}))
    queue.store.database.write(lambda session: session.execute(sql("update jobs set state = 'running'")))
    try:
        service.progress.event(JobEvent(job=record.id, kind="preview", data={"image": "aGk="}))
        first = live.snapshot("watcher")["job"]
        assert first["preview"] == "data:image/jpeg;base64,aGk="
        assert live.snapshot("watcher", record.id, first["preview_number"])["job"]["preview"] == ""
        assert live.snapshot("watcher", "another", 5)["job"]["preview"] != ""
    finally:
        queue.store.database.write(lambda session: session.execute(sql("update jobs set state = 'queued'")))
        queue.cancel_all()
        queue.resume()


def test_a_taken_port_leads_to_the_next():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with listen("127.0.0.1", port) as found:
            assert port < found.getsockname()[1] < port + 50


def test_beyond_this_machine_it_is_not_served(service):
    with pytest.raises(InvalidInputError, match="no passwords yet"):
        serve(service, host="0.0.0.0", browser=False)


def test_the_host_has_no_torch(tmp_path):
    """The whole application in a process of its own: built, asked, and what was imported listed."""
    code = f"""
import sys
from pathlib import Path
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.serving import HostService
paths = Paths.of({str(tmp_path)!r})
with Host.load("host", home=paths.home) as plugins:
    plugins.fill()
    with HostService(plugins, paths) as service:
        from starlette.testclient import TestClient
        from gesso_ui.app import make_app
        with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
            assert client.get("/").status_code == 200
            assert client.get("/gesso/live").json()["job"] is None
        print("heavy:", *sorted({{"torch", "diffusers", "transformers", "bitsandbytes"}} & set(sys.modules)))
        print("failed:", *[s.name for s in plugins.states if s.state == "failed"])
"""
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-2:] == ["heavy:", "failed:"]
