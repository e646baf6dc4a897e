"""History, PNG Info, models, settings and system in a real browser; themes and widths are the shell's tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import delete, insert

from gesso import Job, JobQueue, Request, encode_image
from gesso.store import Store
from gesso.store.schema import ArtifactRow, JobRow, PictureRow

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("quiet")]
MANY = 10_000
INFOTEXT = "a {what} cat, number {n}\nSteps: 2, Sampler: Euler, CFG scale: 1, Seed: {n}, Size: 64x64, Model: shapes"
NODES = "document.querySelectorAll('.gesso-history *').length"
SCROLL = """async () => {
  const scroll = document.querySelector(".gh-scroll");
  let most = 0;
  for (let n = 0; n < 60; n++) {
    scroll.scrollTop += n % 20 ? 90 : 30000;
    await new Promise((done) => requestAnimationFrame(done));
    most = Math.max(most, document.querySelectorAll(".gesso-history *").length);
  }
  return most;
}"""


def show(someone: Any, name: str) -> Any:
    someone.page.click(f"#tab-{name}-button")
    someone.wait(f"#tab-{name}")
    return someone.page


@pytest.fixture
def pictures(site: Any) -> Iterator[Store]:
    """Ten thousand pictures in the history of the page that runs, the newest number last."""
    store = Store.open(site.home)
    files = [encode_image(Image.new("RGB", (64, 64), colour), infotext="x") for colour in ("red", "blue")]
    refs = [store.files.put(data, "image/png") for data in files]
    job = Job(request=Request(prompt="many", owner="nobody"))
    queue = JobQueue(store)
    queue.pause()
    queue.submit(job)
    queue.cancel(job.id)
    queue.resume()
    rows = range(1_000_001, 1_000_001 + MANY)

    def fill(session: Any) -> None:
        store.files.refer(session, refs)
        same = {"job": job.id, "part": 0, "kind": "image", "type": "image/png", "token": 1, "path": "", "written": True}
        artifacts, found = [], []
        for n in rows:
            what, number = "green" if n % 2 else "grey", n - 1_000_000
            meta = {"infotext": INFOTEXT.format(what=what, n=number), "seed": number, "width": 64, "height": 64}
            made = {"id": n, "index": n, "sha256": refs[n % 2].sha256, "meta": meta, "created": 4e9 + n}
            artifacts.append({**same, **made})
            found.append({"artifact": n, "prompt": f"a {what} cat, number {number}", "model": "shapes", "width": 64,
                          "sampler": "euler" if n % 4 else "heun", "height": 64, "created": 4e9 + n})  # fmt: skip
        session.execute(insert(ArtifactRow), artifacts)
        session.execute(insert(PictureRow), found)

    store.database.write(fill)
    yield store
    store.database.write(lambda session: session.execute(delete(JobRow).where(JobRow.id == job.id)))
    store.close()


def test_ten_thousand_pictures_are_scrolled_searched_seen_deleted_and_sent(visit, pictures):
    someone = visit()
    page = show(someone, "history")
    someone.wait('.gh[data-state="ready"]')
    total = int(page.inner_text(".gh-count").split()[0].replace(",", ""))
    assert total >= MANY
    someone.wait_until("document.querySelector('.gh-tile img').naturalWidth > 0")
    assert page.evaluate(SCROLL) <= 500
    # Keys: to the last one and back, opened, leafed through.
    page.evaluate("document.querySelector('.gh-scroll').scrollTop = 0")
    page.locator('.gh-tile[data-index="0"]').focus()
    page.keyboard.press("End")
    someone.wait_until(f"document.activeElement.dataset.index === '{total - 1}'")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    someone.wait_until("document.activeElement.dataset.index === '1'")
    page.keyboard.press("Enter")
    someone.wait('.gh-open .gh-info [data-id="1009999"]')
    page.keyboard.press("ArrowRight")
    someone.wait('.gh-open .gh-info [data-id="1009998"]')
    assert "Seed: 9998" in page.inner_text(".gh-infotext")
    assert page.evaluate("document.querySelector('.gh-viewer').contains(document.activeElement)")
    # Deleted from the viewer, the next takes its place; undone.
    page.keyboard.press("Delete")
    someone.wait('.gh-open .gh-info [data-id="1009997"]')
    page.keyboard.press("Escape")
    assert page.is_hidden(".gh-viewer")
    page.locator('.gh-toast [data-do="undo"]').click()
    someone.wait_until(f"document.querySelector('.gh-count').textContent.startsWith('{total:,}')")
    # Search, a filter, and all again.
    page.fill(".gh-search", '"green cat" -number')
    someone.wait(".gh-empty:not([hidden])")
    page.fill(".gh-search", "cat grey")
    someone.wait_until("document.querySelector('.gh-count').textContent.startsWith('5,000')")
    page.click(".gh-filters > summary")
    page.select_option('[data-filter="sampler"]', "heun")
    someone.wait_until("document.querySelector('.gh-count').textContent.startsWith('2,500')")
    assert page.inner_text(".gh-used") == "1"
    # Sent on as it was made, in one click once the host has told of it.
    page.locator('.gh-tile[data-index="0"]').click()
    someone.wait(".gh-open .gh-info [data-id]")
    assert page.evaluate(NODES) <= 500
    page.locator(".gh-actions button", has_text="txt2img").click()
    someone.wait_until("document.querySelector('#txt2img-prompt textarea').value.startsWith('a grey cat, number')")
    someone.wait_until("document.querySelector('#txt2img-seed input').value === '10000'")
    assert page.is_hidden(".gh-viewer")
    assert someone.complaints == []
    assert someone.foreign == []


def test_a_new_picture_appears_and_selected_ones_are_deleted_for_good(visit):
    someone = visit(width=768, height=1024)
    someone.generate("a red ring on a white background", steps="1", count="2")
    someone.wait_until("document.querySelectorAll('.gesso-thumbs img').length === 2")
    page = show(someone, "history")
    someone.wait(".gh-tile[data-id]")
    before = page.inner_text(".gh-count")
    page.click('[data-do="select"]')
    page.locator('.gh-tile[data-index="0"]').click()
    page.locator('.gh-tile[data-index="1"]').click(modifiers=["Shift"])
    assert page.inner_text(".gh-chosen-count") == "2 selected"
    page.click('.gh-chosen [data-do="delete"]')
    someone.wait_until(f"document.querySelector('.gh-count').textContent !== {before!r}")
    page.click('[data-do="trash"]')
    someone.wait_until("document.querySelector('.gh-count').textContent === '2 pictures'")
    for tile in ("0", "1"):
        page.locator(f'.gh-tile[data-index="{tile}"]').click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.click('.gh-chosen [data-do="purge"]')
    someone.wait(".gh-empty:not([hidden])")
    assert "The trash is empty." in page.inner_text(".gh-empty")
    assert someone.complaints == []


def test_a_strangers_picture_is_told_and_sent_as_near_as_can_be(visit, tmp_path: Path):
    infotext = (
        "a portrait <b>of</b> nobody\nSteps: 9, Sampler: DPM++ 2M Karras, CFG scale: 6, Seed: 77, Size: 515x512, "
        "Model hash: 879db523c3, Model: dreamshaper_8, Face restoration: GFPGAN, Version: v1.10.1"
    )
    path = tmp_path / "a.webp"
    path.write_bytes(encode_image(Image.new("RGB", (96, 64), "teal"), format="WEBP", infotext=infotext))
    someone = visit()
    page = show(someone, "png_info")
    page.set_viewport_size({"width": 360, "height": 780})
    page.locator("#png_info-picture input[type=file]").set_input_files(path)
    someone.wait(".gp table")
    rows = [row.inner_text().split("\t")[:3] for row in page.locator(".gp tbody tr").all()]
    assert rows == [
        ["Size", "515x512", "512x512"], ["Model", "dreamshaper_8", "shapes"], ["Face restoration", "GFPGAN", "left out"]
    ]  # fmt: skip
    assert "a portrait <b>of</b> nobody" in page.inner_text(".gp-prompt >> nth=0")
    page.locator("#tab-png_info .gesso-send-button", has_text="img2img").click()
    someone.wait("#img2img-prompt textarea")
    someone.wait_until("document.querySelector('#img2img-prompt textarea').value === 'a portrait <b>of</b> nobody'")
    someone.wait("#img2img-img2img-Img2ImgParams-init img")
    someone.wait_until("document.querySelector('#img2img-seed input').value === '77'")
    page.set_viewport_size({"width": 1440, "height": 900})
    show(someone, "png_info")
    path.write_bytes(b"no picture")
    page.locator("#png_info-picture").get_by_role("button", name="Remove Image").click()
    page.locator("#png_info-picture input[type=file]").set_input_files(path)
    someone.wait(".gp-told [role=alert]")
    assert someone.foreign == []


def test_settings_models_and_system(visit, site):
    someone = visit(language="de")
    page = show(someone, "settings")
    someone.wait('.gs[data-state="ready"]')
    page.fill(".gs-search", "trash_days")
    someone.wait_until("[...document.querySelectorAll('.gs-row')].filter((row) => row.checkVisibility()).length === 1")
    box = page.locator("#setting-core-trash_days")
    box.fill("9")
    box.blur()
    someone.wait(".gs-row[data-changed]:visible")
    stored = json.loads((site.home / "settings" / "settings.json").read_text())
    assert stored["core"]["trash_days"] == 9
    page.locator('.gs-row:visible [data-do="reset"]').click()
    someone.wait_until("document.querySelector('#setting-core-trash_days').value === '30'")
    assert "Vorgabe: 30" in page.inner_text(".gs-row:visible .gs-default")

    page = show(someone, "models")
    someone.wait('.gm[data-state="ready"]')
    card = page.locator(".gm-card", has_text="shapes")
    assert "F16" in card.inner_text() or "F32" in card.inner_text()
    page.fill(".gm-search", "nothing like it")
    someone.wait(".gm-list .gesso-empty")
    page.fill(".gm-search", "")
    someone.wait(".gm-card")

    page = show(someone, "system")
    someone.wait('.gy [role="meter"][aria-label="RAM"]')
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click('.gy [data-do="copy"]')
    someone.wait_until("document.querySelector('.gy [data-do=copy]').textContent === 'Kopiert'")
    report = page.evaluate("navigator.clipboard.readText()")
    assert "torch: " in report
    assert str(site.home) not in report
    someone.wait_until(r"/RAM [\d.]+\/\d+ GB/.test(document.querySelector('.gesso-memory').textContent)")
    assert someone.complaints == []
    assert someone.foreign == []
