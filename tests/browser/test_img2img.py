"""The img2img tab in a real browser: a picture chosen, a mask painted or chosen, a result, and a picture sent there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("quiet")]
TAB = "#tab-img2img"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red circle on blue, and a mask of its middle."""
    folder = tmp_path_factory.mktemp("pictures")
    picture = Image.new("RGB", (128, 128), (50, 80, 220))
    ImageDraw.Draw(picture).ellipse((36, 36, 92, 92), fill=(220, 40, 40))
    picture.save(folder / "circle.png")
    mask = Image.new("L", (128, 128))
    ImageDraw.Draw(mask).rectangle((24, 24, 104, 104), fill=255)
    mask.save(folder / "mask.png")
    (folder / "wrong.png").write_text("this is no picture")
    return folder


def open_tab(someone):
    someone.page.get_by_role("tab", name="img2img").click()
    someone.wait(f"{TAB} .gesso-generate-button", state="visible")


def give(someone, record, field, file):
    box = someone.page.locator(f"#img2img-{record}-{field}")
    box.locator("input[type=file]").set_input_files(file)
    box.locator("img").wait_for()


def fill(someone, name, value):
    box = someone.page.locator(f"#img2img-{name}").locator("textarea, input:not([type=range])").first
    box.fill(value)
    box.blur()


def begin(someone, files, prompt):
    open_tab(someone)
    give(someone, "img2img-Img2ImgParams", "init", files / "circle.png")
    fill(someone, "prompt", prompt)
    fill(someone, "steps", "6")


def open_inpaint(someone):
    someone.page.locator(f"{TAB} button.label-wrap", has_text=re.compile(r"^\s*Inpaint")).click()
    someone.wait(f"{TAB} .gesso-paint-button", state="visible")


def infotext(someone):
    someone.wait(f"{TAB} .gesso-picture img")
    someone.wait_until(f"document.querySelector('{TAB} .gesso-infotext textarea')?.value")
    return someone.page.locator(f"{TAB} .gesso-infotext textarea").input_value()


def test_a_picture_and_a_chosen_mask_make_a_picture(visit, files):
    someone = visit()
    begin(someone, files, "a green circle on a blue background")
    open_inpaint(someone)
    give(someone, "inpaint-InpaintParams", "mask", files / "mask.png")
    someone.page.click(f"{TAB} .gesso-generate-button")
    text = infotext(someone)
    assert "Denoising strength: 0.75" in text
    assert "Mask blur: 4" in text
    assert someone.foreign == []


def test_a_painted_mask_is_the_mask(visit, files):
    someone = visit()
    begin(someone, files, "a green circle on a blue background")
    open_inpaint(someone)
    someone.page.click(f"{TAB} .gesso-paint-button")
    canvas = someone.page.locator(f"{TAB} .gesso-editor canvas").first
    canvas.wait_for()
    someone.page.wait_for_timeout(3000)  # the editor draws itself in several steps and says nothing of it
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    someone.page.mouse.move(x - 10, y - 10)
    someone.page.mouse.down()
    for step in range(10):
        someone.page.mouse.move(x - 10 + 2 * step, y - 10 + 2 * step)
    someone.page.mouse.up()
    someone.page.wait_for_timeout(1000)
    someone.page.click(f"{TAB} .gesso-generate-button")
    assert "Mask blur: 4" in infotext(someone)


def test_without_a_picture_the_page_says_so(visit):
    someone = visit()
    open_tab(someone)
    someone.page.click(f"{TAB} .gesso-generate-button")
    assert "needs a picture" in someone.wait(f"{TAB} .gesso-error").inner_text()


def test_a_result_is_sent_to_img2img_and_found_again_after_a_reload(visit):
    someone = visit()
    someone.generate("a yellow star on a purple background", steps="4")
    someone.wait(".gesso-picture img")
    someone.page.get_by_role("button", name="Send to img2img").first.click()
    someone.wait(f"{TAB} .gesso-generate-button", state="visible")
    someone.page.locator("#img2img-img2img-Img2ImgParams-init img").wait_for()
    someone.wait_until("document.querySelector('#img2img-prompt textarea').value.startsWith('a yellow star')")
    someone.page.click(f"{TAB} .gesso-generate-button")
    assert "Denoising strength" in infotext(someone)
    someone.page.reload()
    someone.wait(".gesso-generate-button")
    open_tab(someone)
    someone.page.locator("#img2img-img2img-Img2ImgParams-init img").wait_for()
    assert "Denoising strength" in infotext(someone)


def test_nothing_sticks_out_with_a_picture_on_a_phone(visit, files):
    someone = visit(width=360)
    begin(someone, files, "a green circle on a blue background")
    open_inpaint(someone)
    assert someone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_no_picture_is_said_in_the_page(visit, files):
    someone = visit()
    open_tab(someone)
    box = someone.page.locator("#img2img-img2img-Img2ImgParams-init")
    box.locator("input[type=file]").set_input_files(files / "wrong.png")
    someone.page.wait_for_timeout(2000)
    someone.page.click(f"{TAB} .gesso-generate-button")
    assert someone.wait(f"{TAB} .gesso-error").inner_text().startswith("wrong.png is no picture gesso can open.")


def test_several_pictures_are_a_job_each(visit, files):
    """And one that is no picture is named and stops nobody."""
    someone = visit()
    open_tab(someone)
    fill(someone, "prompt", "a green square")
    fill(someone, "steps", "2")
    fold = someone.page.locator(f"{TAB} .gesso-several")
    fold.locator("button.label-wrap").click()
    fold.locator("input[type=file]").set_input_files([files / name for name in ("circle.png", "mask.png", "wrong.png")])
    fold.locator("tr.file").nth(2).wait_for()
    fold.get_by_role("button", name="Make one of each").click()
    fold.locator(".gesso-error").wait_for()
    said = fold.locator(".gesso-message").all_inner_texts()
    assert said[0] == "Jobs in the queue: 2"
    assert said[1].startswith("wrong.png: ")
    assert len(said) == 2
    infotext(someone)  # the first is made
    assert someone.complaints == []
