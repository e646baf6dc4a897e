"""The page as a person meets it, in a real browser, with the demo model."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("quiet")]


def test_from_prompt_to_picture(visit):
    someone = visit()
    someone.choose("sampler", "Odd slow")
    someone.generate("a red circle on a blue background", steps="12", count="2")
    line = someone.wait_for_line(r"Sampling \d+/12 · .* left")
    assert re.fullmatch(r"(Picture \d of 2 · )?Sampling \d+/12 · [\d.]+ (steps/s|s/step) · \d+:\d\d left", line)
    someone.wait_until("document.querySelector('.gesso-preview').naturalWidth > 60")
    someone.wait_until("document.querySelectorAll('.gesso-thumbs img').length === 2")
    someone.wait_idle()
    someone.wait_until("document.querySelector('.gesso-picture img').naturalWidth === 128")
    assert someone.page.is_hidden(".gesso-preview")
    first = someone.infotext()
    assert first.startswith("a red circle on a blue background\nSteps: 12, Sampler: Odd slow,")
    someone.page.click(".gesso-thumbs button:nth-child(2)")
    someone.wait_until(f"document.querySelector('.gesso-infotext textarea').value !== {first!r}")
    seed = re.search(r"Seed: (\d+)", someone.infotext())[1]
    someone.page.get_by_role("button", name="Reuse").click()
    someone.wait_until(f"document.querySelector('#txt2img-seed input').value === '{seed}'")
    with someone.page.expect_download() as download:
        someone.page.click(".gesso-download")
    assert re.fullmatch(rf"\d{{5}}-{seed}\.png", download.value.suggested_filename)
    assert someone.foreign == []
    assert someone.complaints == []


def test_a_reload_in_mid_job_finds_it(visit):
    someone = visit()
    someone.choose("sampler", "Odd slow")
    someone.generate("a green square on a white background", steps="120", count="3")
    someone.wait_for_line(r"Sampling \d+/120")
    someone.page.reload()
    someone.wait(".gesso-generate-button")
    someone.wait_busy()
    someone.wait_for_line(r"Picture 1 of 3 · Sampling \d+/120")
    someone.wait(".gesso-preview[src]")
    someone.wait_until("document.querySelector('#txt2img-prompt textarea').value.startsWith('a green square')")
    assert someone.page.locator("#txt2img-steps input[type=number]").input_value() == "120"
    assert someone.page.locator("#txt2img-seed input").input_value() == "-1"


def test_skip_goes_on_with_the_next_picture_and_interrupt_keeps_what_is_finished(visit):
    someone = visit()
    someone.choose("sampler", "Odd slow")
    someone.generate("a pink ring on a black background", steps="8", count="50")
    someone.wait_until("document.querySelectorAll('.gesso-thumbs img').length >= 2")
    someone.page.click(".gesso-skip-button")
    before = someone.page.locator(".gesso-thumbs img").count()
    someone.wait_until(f"document.querySelectorAll('.gesso-thumbs img').length > {before}")
    someone.page.click(".gesso-interrupt-button")
    someone.wait_idle()
    assert 2 <= someone.page.locator(".gesso-thumbs img").count() < 50


def test_interrupt_before_the_first_picture_says_so(visit):
    someone = visit()
    someone.choose("sampler", "Odd slow")
    someone.generate("a white heart on a black background", steps="150")
    someone.wait_for_line(r"Sampling \d+/150")
    someone.page.click(".gesso-interrupt-button")
    someone.wait_idle()
    someone.wait_until("document.querySelector('.gesso-result').innerText.includes('before a picture was finished')")


def test_two_browsers_at_once_see_their_own_work(visit):
    one, two = visit(), visit(width=768, height=1024)
    one.choose("sampler", "Odd slow")
    one.generate("a red circle on a white background", steps="60")
    one.wait_for_line(r"Sampling \d+/60")
    two.generate("a blue square on a white background", steps="5")
    two.wait_for_line("1 job waits, 1 ahead of it")
    assert "Sampling" in one.page.inner_text(".gesso-line")
    two.wait_idle()
    for someone, prompt in ((one, "a red circle on a white background"), (two, "a blue square on a white background")):
        someone.wait_until(f"document.querySelector('.gesso-infotext textarea')?.value.startsWith({prompt!r})")
        assert someone.page.locator(".gesso-picture").count() == 1
        assert someone.page.locator(".gesso-thumbs").count() == 0


def test_a_tab_that_cannot_be_built_is_a_card_and_the_others_work(visit):
    someone = visit()
    someone.page.get_by_role("tab", name="Broken").click()
    card = someone.wait("#tab-broken .gesso-card").inner_text()
    for words in ("local:odd", "ZeroDivisionError: <b>half a tab</b>", "gesso plugins disable odd"):
        assert words in card
    assert "never seen" not in someone.page.content()
    someone.page.get_by_role("tab", name="Plain").click()
    someone.page.click("#odd-ask")
    someone.wait_until("document.querySelector('#odd-answer textarea').value === 'alive'")
    someone.page.get_by_role("tab", name="txt2img").click()
    someone.generate("a yellow star on a purple background", steps="4")
    someone.wait(".gesso-picture img")


def test_what_cannot_be_used_is_said_in_the_page(visit):
    someone = visit()
    someone.generate("a red circle", width="100")
    message = someone.wait(".gesso-error").inner_text()
    assert message == "width must be a multiple of 8, not 100. Try 96 or 104."
    someone.fill("width", "96")
    someone.fill("seed", "many")
    someone.page.click(".gesso-generate-button")
    someone.wait_until("document.querySelector('.gesso-error').innerText.includes(\"got 'many'\")")


def test_a_crash_in_a_sampler_is_told_and_the_next_job_runs(visit):
    someone = visit()
    someone.choose("sampler", "Odd crash")
    someone.generate("a cyan ring on a black background", steps="4")
    # Not "busy first": the crash may come before the page has asked even once.
    message = someone.wait(".gesso-error").inner_text()
    someone.wait_idle()
    assert "SIGSEGV" in message or "segmentation fault" in message.lower()
    assert "odd" in message
    someone.choose("sampler", "Euler")
    someone.generate("a cyan ring on a black background", steps="4")
    someone.wait(".gesso-picture img")
    assert someone.page.locator(".gesso-error").count() == 0


def test_ctrl_enter_generates_and_plugin_records_are_sent(visit):
    someone = visit()
    someone.choose("sampler", "Euler a")
    someone.page.get_by_role("button", name="Sampler and schedule options").click()
    someone.wait("#txt2img-sampler-EtaOptions-eta input[type=number]", state="visible")
    someone.fill("sampler-EtaOptions-eta", "0.5")
    someone.fill("steps", "4")
    someone.fill("prompt", "an orange triangle on a green background")
    someone.page.press("#txt2img-prompt textarea", "Control+Enter")
    someone.wait(".gesso-picture img")
    someone.wait_until("document.querySelector('.gesso-infotext textarea')?.value.includes('Eta: 0.5')")
    someone.choose("sampler", "Euler")
    someone.wait("#txt2img-sampler-EtaOptions-eta", state="hidden")
