"""Themes, widths, languages, keys and what a browser keeps, on every built-in tab, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH

from gesso_ui.theme import THEMES

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("quiet")]
OWN = ("txt2img", "img2img", "history", "png_info", "models", "settings", "extensions", "system")
"""Built-in tabs, as far as they are there."""
OUTSIDE = """() => [...document.querySelectorAll(".gradio-container *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && e.checkVisibility() && !e.closest("pre, .gx-scroll, .visually-hidden")
    && getComputedStyle(e).visibility !== "hidden" && (box.right > innerWidth + 1 || box.left < -1);
}).map((e) => `${e.tagName}.${e.className}`)"""
AXE = """async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
  return violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
}"""
OPEN = """name => document.querySelectorAll(`#tab-${name} button.label-wrap:not(.open)`).forEach((e) => e.click())"""
OUTLINE = """document.activeElement === document.body ? "" : getComputedStyle(document.activeElement).outlineStyle"""


def show(page: Any, name: str) -> None:
    """A tab by its name, whether its button has room or not."""
    page.evaluate("name => document.querySelector(`#tab-${name}-button`).click()", name)
    page.wait_for_function("name => document.querySelector(`#tab-${name}`)?.checkVisibility()", arg=name)
    page.wait_for_timeout(400)


def tabs_of(page: Any) -> list[str]:
    return [name for name in OWN if page.locator(f"#tab-{name}-button").count()]


def theme(page: Any, name: str) -> None:
    page.locator('[data-choose="theme"]').select_option(name)
    page.wait_for_function("name => document.documentElement.dataset.theme === name", arg=name)


def test_axe_finds_nothing_serious_on_any_tab_in_any_theme(visit):
    """In our markup and in Gradio's: there is no list of exceptions, and none is to come."""
    someone = visit()
    someone.page.emulate_media(reduced_motion="reduce")  # no colour half-way to another
    someone.page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    found = {}
    for tab in tabs_of(someone.page):
        show(someone.page, tab)
        someone.page.evaluate(OPEN, tab)
        someone.page.wait_for_timeout(300)
        for name in THEMES:
            theme(someone.page, name)
            if violations := someone.page.evaluate(AXE):
                found[tab, name] = violations[:6]
    assert found == {}


@pytest.mark.parametrize("language", ["en", "de"])
def test_nothing_sticks_out_of_any_tab_at_any_width_in_any_theme(visit, language):
    someone = visit(language=language)
    wrong = {}
    for name in THEMES:
        theme(someone.page, name)
        assert someone.page.evaluate("document.body.classList.contains('dark')") is (name != "light")
        for tab in tabs_of(someone.page):
            show(someone.page, tab)
            for width in (360, 768, 1440):
                someone.page.set_viewport_size({"width": width, "height": 900})
                someone.page.wait_for_timeout(150)
                found = someone.page.evaluate(OUTSIDE)
                if found or someone.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    wrong[name, tab, width] = found[:4]
    assert wrong == {}
    assert someone.complaints == []


def test_theme_and_language_are_remembered(visit):
    someone = visit()
    assert someone.page.evaluate("document.documentElement.dataset.theme") == "dark"
    theme(someone.page, "contrast")
    someone.page.locator('[data-choose="language"]').select_option("de")
    someone.page.get_by_role("button", name="Erzeugen").first.wait_for()
    assert someone.page.evaluate("document.documentElement.lang") == "de"
    assert someone.page.evaluate("document.documentElement.dataset.theme") == "contrast"
    assert someone.page.locator(".gesso-tokens").first.get_attribute("aria-label") == "Tokens des Prompts"
    assert someone.complaints == []


def test_by_keyboard_alone_weights_counter_generate_skip_and_stop(visit):
    someone = visit()
    keys, box = someone.page.keyboard, someone.page.locator("#txt2img-prompt textarea")
    someone.fill("steps", "150")
    someone.fill("count", "3")
    box.focus()
    keys.type("a red circle")
    keys.press("Control+ArrowUp")
    keys.press("Control+ArrowUp")
    assert box.input_value() == "a red (circle:1.2)"
    keys.press("Control+ArrowDown")
    keys.press("Control+z")
    assert box.input_value() == "a red (circle:1.2)", "the browser's undo takes it back"
    someone.wait_until("document.querySelector('.gesso-tokens').textContent === '3/75'")
    someone.choose("sampler", "Odd slow")
    box.focus()
    keys.press("Control+Enter")
    someone.wait_for_line(r"Picture 1 of 3 · Sampling \d+/150")
    keys.press("Alt+Enter")
    someone.wait_for_line(r"Picture 2 of 3 · Sampling \d+/150")
    keys.press("Escape")
    someone.wait_idle()
    # What has the focus is seen: a ring of the token's colour around each stop on the way.
    seen = set()
    for _ in range(12):
        keys.press("Tab")
        seen.add(someone.page.evaluate(OUTLINE))
    assert seen - {""} == {"solid"}


def test_what_is_typed_and_chosen_outlives_a_reload(visit):
    someone = visit()
    long = "word " * 8000  # 40,000 characters
    someone.fill("prompt", long)
    someone.choose("sampler", "Euler a")
    someone.page.locator("#txt2img-aspect input").click()
    someone.page.get_by_role("option", name="4:3", exact=True).click()
    someone.wait_until("document.querySelector('#txt2img-width input[type=number]').value === '152'")
    someone.page.get_by_role("button", name="Swap").first.click()
    someone.wait_until("document.querySelector('#txt2img-width input[type=number]').value === '112'")
    someone.wait_until("document.querySelector('.gesso-tokens').textContent === '8000/8025'")
    kept = "JSON.parse(window.gessoDrafts.read('txt2img') || '{}')"
    someone.wait_until(f"{kept}['txt2img-width'] == 112 && {kept}['txt2img-prompt'].length === 40000")
    someone.page.reload()
    someone.wait(".gesso-generate-button")
    someone.wait_until("document.querySelector('#txt2img-prompt textarea').value.length === 40000")
    someone.wait_until("document.querySelector('#txt2img-sampler input').value === 'Euler a'")
    sides = [someone.page.locator(f"#txt2img-{side} input[type=number]").input_value() for side in ("width", "height")]
    assert sides == ["112", "152"]


def test_waiting_jobs_are_listed_moved_and_dropped(visit):
    someone = visit()
    someone.choose("sampler", "Odd slow")
    for word in ("first", "second", "third", "fourth"):
        someone.generate(word, steps="150")
        titles = "[...document.querySelectorAll('.gesso-queue li > span:first-child')].map((e) => e.textContent).join()"
        expected = {"first": "", "second": "second", "third": "second,third", "fourth": "second,third,fourth"}[word]
        someone.wait_until(f"{titles} === {expected!r} && document.querySelector('.gesso-generation.gesso-busy')")
    someone.page.get_by_role("button", name="Earlier: fourth").first.click()
    someone.wait_until(f"{titles} === 'second,fourth,third'")
    someone.page.get_by_role("button", name="Drop: second").first.click()
    someone.wait_until(f"{titles} === 'fourth,third'")
    assert someone.complaints == []
