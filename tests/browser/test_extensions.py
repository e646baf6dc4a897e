"""The Extensions tab in a real browser: who failed and where, and what the buttons do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("quiet")]
ODD = '.gx-card[data-id="local:odd"]'
OVERFLOW = """() => [...document.querySelectorAll(".gx *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && !e.closest("pre, .gx-scroll") && (box.right > innerWidth + 1 || box.left < -1);
}).map((e) => `${e.tagName}.${e.className}`)"""


def extensions(visit: Any, **how: Any) -> Any:
    return open_extensions(visit(**how))


def open_extensions(someone: Any) -> Any:
    narrow = someone.page.get_by_role("tab", name="Extensions", exact=True)
    if not narrow.is_visible():
        someone.page.locator(".overflow-menu button").first.click()
        someone.page.locator(".overflow-dropdown").get_by_text("Extensions").click()
    else:
        narrow.click()
    someone.wait(".gx-card")
    return someone


def test_a_tab_that_failed_is_its_plugins_error_and_can_be_reported(visit, site):
    someone = extensions(visit)
    someone.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card = someone.page.locator(ODD)
    text = card.inner_text()
    assert "the tab broken · build" in text
    assert "ZeroDivisionError" in text
    assert not card.locator("pre").is_visible()
    card.locator("summary", has_text="Traceback").click()
    assert "raise ZeroDivisionError" in card.locator("pre").inner_text()
    card.get_by_role("button", name="Copy report").click()
    someone.wait_until(f"document.querySelector('{ODD} footer').innerText.includes('Copied')")
    copied = someone.page.evaluate("navigator.clipboard.readText()")
    for part in ("local:odd", "build the tab broken", "ZeroDivisionError", "| torch |"):
        assert part in copied
    with urllib.request.urlopen(f"{site.url}gesso/plugins", timeout=60) as answer:
        rows = {f"{row['dist']}:{row['name']}": row for row in json.load(answer)}
    assert (rows["local:odd"]["phase"], rows["local:odd"]["hook"]) == ("build", "the tab broken")
    assert someone.complaints == []
    assert someone.foreign == []


def test_the_command_line_tells_what_the_page_knows(site):
    environment = {**os.environ, "GESSO_HOME": str(site.home)}
    command = [sys.executable, "-P", "-m", "gesso", "plugins"]

    def run(*words: str) -> Any:
        return subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=True)

    listed = run("list", "--json")
    assert f"as the page on {site.url.rstrip('/')} has them" in listed.stderr
    assert "the tab broken" in [row["hook"] for row in json.loads(listed.stdout)]
    assert "ZeroDivisionError" in run("report", "odd").stdout
    assert "ZeroDivisionError" not in run("report", "--here").stdout  # the folder is not given here


def test_buttons_and_search(visit):
    someone = extensions(visit)
    card = someone.page.locator(ODD)
    card.locator("summary", has_text="Traceback").click()
    card.get_by_role("button", name="Disable").click()
    card.get_by_role("button", name="Enable").wait_for()
    assert "local:odd is disabled" in someone.page.inner_text(".gx-said")
    card.get_by_role("button", name="Enable").click()
    card.get_by_role("button", name="Disable").wait_for()
    someone.page.fill(".gx-search", "sampl")
    assert not card.is_visible()
    assert someone.page.locator('.gx-card[data-id="gesso:samplers"]').is_visible()
    someone.page.fill(".gx-search", "odd zerodiv")
    assert card.is_visible()
    assert someone.complaints == []


def test_what_the_worker_did_is_counted(visit):
    someone = visit()
    someone.generate("a red circle on a white background", steps="2")
    someone.wait(".gesso-picture")
    someone.wait_idle()
    someone.page.get_by_role("tab", name="Extensions", exact=True).click()
    someone.wait(".gx-own > summary")
    someone.page.click(".gx-own > summary")
    card = someone.page.locator('.gx-card[data-id="gesso:prompt_syntax"]')
    card.locator("summary").filter(has_text="hook").click()
    assert "worker" in card.inner_text()


def test_nothing_of_an_opened_card_sticks_out(visit):
    someone = extensions(visit, width=360)
    someone.page.click(".gx-own > summary")
    for summary in someone.page.locator(".gx-card summary").all()[:6]:
        summary.click()
    assert someone.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert someone.page.evaluate(OVERFLOW) == []


def test_installing_takes_the_link_of_the_terminal(visit, site):
    """Then a person sees what would change, or why it cannot be; that it is changed, tests of the installs show."""
    someone = extensions(visit)

    def install(what: str) -> str:
        someone.page.locator(".gx-install input").fill(what)
        someone.page.locator(".gx-install").get_by_role("button", name="Install").click()
        someone.page.locator(".gx-work pre").wait_for()
        return str(someone.page.inner_text(".gx-work"))

    assert "has not signed in" in install("no-such-plugin")
    someone.page.locator(".gx-work").get_by_role("button", name="Close").click()
    key = json.loads((site.home / "host.json").read_text())["token"]
    someone.page.goto(f"{site.url}gesso/sign-in?key={key}")
    someone.page.get_by_role("tab", name="txt2img", exact=True).wait_for()
    open_extensions(someone)
    shown = install("/no/such/folder/wheel.whl")
    assert "Install /no/such/folder/wheel.whl" in shown
    assert "Nothing was changed." in shown
    assert "signed in" not in shown
