"""Take the pictures of the page that the documentation shows, from a page of its own in a fresh data folder.

    python tools/screenshots.py [--all]

Needs Playwright and Chromium (`pip install -e '.[test]'`; Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTHS: dict[str, ViewportSize] = {
    "wide": {"width": 1440, "height": 900}, "tablet": {"width": 768, "height": 1024},
    "phone": {"width": 360, "height": 740},
}  # fmt: skip
THEMES = ("dark", "light", "contrast")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
PATIENCE_MS = 240_000


@contextlib.contextmanager
def serving(home: Path, *options: str) -> Iterator[str]:
    """A page on a free port; its address."""
    (home / "settings").mkdir()
    # One thread gets on where others compute too; several would spend their time waiting for each other.
    (home / "settings" / "settings.json").write_text('{"worker": {"niceness": 0, "threads": 1}}')
    environment = {**os.environ, "GESSO_HOME": str(home)}
    command = [sys.executable, "-m", "gesso", *options, "ui", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                yield found[0]
                return
        raise SystemExit("The page did not start.")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def open_page(browser: Any, url: str, theme: str) -> Page:
    """The page as somebody new who has chosen a theme."""
    context = browser.new_context(viewport=WIDTHS["wide"])
    context.add_cookies([{"name": "gesso_theme", "value": theme, "url": url}])
    page: Page = context.new_page()
    page.goto(url)
    return page


def fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        box = page.locator(f"#txt2img-{name}").locator("textarea, input[type=number]").first
        box.fill(value)
        box.blur()


def generate(page: Page) -> None:
    page.click(".gesso-generate-button")


def empty(page: Page) -> None:
    """As it is met the first time."""


def working(page: Page) -> None:
    fill(page, prompt="a red circle left of a blue star on a white background", steps="150", count="4")
    generate(page)
    page.wait_for_function("document.querySelector('.gesso-thumbs')", timeout=PATIENCE_MS)
    page.wait_for_selector(".gesso-preview[src]", timeout=PATIENCE_MS)


def done(page: Page) -> None:
    page.click(".gesso-interrupt-button")
    page.wait_for_selector(".gesso-generation:not(.gesso-busy)", timeout=PATIENCE_MS)
    fill(page, prompt="a large yellow star on a purple background", steps="20", count="3")
    generate(page)
    page.wait_for_selector(".gesso-generation.gesso-busy", timeout=PATIENCE_MS)
    page.wait_for_selector(".gesso-generation:not(.gesso-busy)", timeout=PATIENCE_MS)
    page.wait_for_timeout(1500)


def inpainted(page: Page) -> None:
    """The picture that is there, sent to img2img; a mask chosen; another shape painted."""
    mask = Image.new("L", (128, 128))
    ImageDraw.Draw(mask).rectangle((6, 6, 121, 121), fill=255)
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    page.locator("#tab-txt2img .gesso-send-button", has_text="img2img").first.click()
    page.wait_for_selector("#img2img-img2img-Img2ImgParams-init img", timeout=PATIENCE_MS)
    page.locator("#img2img-prompt textarea").fill("a large green heart on a purple background")
    page.locator("#tab-img2img button.label-wrap", has_text=re.compile(r"^\s*Inpaint")).click()
    box = page.locator("#img2img-inpaint-InpaintParams-mask")
    file: Any = {"name": "mask.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    box.locator("input[type=file]").set_input_files(file)
    box.locator("img").wait_for(timeout=PATIENCE_MS)
    page.locator("#tab-img2img .gesso-generate-button").click()
    page.wait_for_selector("#tab-img2img .gesso-picture img", timeout=PATIENCE_MS)
    page.wait_for_selector("#tab-img2img .gesso-generation:not(.gesso-busy)", timeout=PATIENCE_MS)
    page.wait_for_timeout(1500)


SCENES: dict[str, Callable[[Page], None]] = {
    "txt2img-empty": empty, "txt2img-working": working, "txt2img-done": done, "img2img-done": inpainted
}  # fmt: skip


TABS = ("History", "PNG Info", "Models", "Settings", "System")
"""Tabs as they are once pictures have been made."""


NAMED = """places => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode()); ) {
    for (const [place, name] of places) node.data = node.data.replaceAll(place, name);
  }
}"""


def without_places(page: Page) -> None:
    """Nobody wants to know in which folders of this machine the pictures were taken."""
    page.evaluate(NAMED, [[str(FOLDER.parents[1]), "~/gesso"], [tempfile.gettempdir(), "~"]])


def shoot(browser: Any, url: str, folder: Path, everything: bool) -> None:
    """Every scene and tab wide, in every theme; narrow ones only at work and light, unless `everything` is wanted."""
    for scheme in THEMES:
        page = open_page(browser, url, scheme)
        page.wait_for_selector(".gesso-generate-button", timeout=PATIENCE_MS)
        for scene, play in SCENES.items():
            play(page)
            for size, viewport in WIDTHS.items():
                if size != "wide" and (scene, scheme) != ("txt2img-working", "light") and not everything:
                    continue
                page.set_viewport_size(viewport)
                page.evaluate("scrollTo(0, 0)")
                page.wait_for_timeout(400)
                page.screenshot(path=folder / f"{scene}-{size}-{scheme}.png", full_page=size != "wide")
            page.set_viewport_size(WIDTHS["wide"])
        for tab in TABS:
            page.get_by_role("tab", name=tab, exact=True).click(timeout=PATIENCE_MS)
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(2000)
            without_places(page)
            page.screenshot(path=folder / f"{tab.lower().replace(' ', '-')}-wide-{scheme}.png")
        page.close()


def shoot_extensions(browser: Any, url: str, folder: Path, everything: bool) -> None:
    """The Extensions tab, with plugins that fail in several ways."""
    for scheme in THEMES:
        page = open_page(browser, url, scheme)
        page.get_by_role("tab", name="Extensions", exact=True).click(timeout=PATIENCE_MS)
        page.wait_for_selector(".gx-card", timeout=PATIENCE_MS)
        page.locator(".gx-card summary", has_text="Traceback").first.click()
        for size, viewport in WIDTHS.items():
            if size != "wide" and not everything:
                continue
            page.set_viewport_size(viewport)
            page.wait_for_timeout(1000)
            without_places(page)
            page.screenshot(path=folder / f"extensions-{size}-{scheme}.png", full_page=size != "wide")
        page.close()


BROKEN = {
    "watermark": "1 / 0\n",
    "upscale_more": "import a_package_nobody_has\n",
    "sharpen": "def broken(:\n    pass\n",
    "old_friend": 'api = "0"\n',
    "half_tab": "from gesso import Tab, TabFn, hookimpl, lazy\napi = '1'\n@hookimpl\n"
    "def gesso_register_tabs(registry):\n"
    "    registry.add(Tab(name='half', label='Half', build=lazy('half_tab:build', TabFn)))\n"
    "def build(page):\n    raise ValueError('no such folder')\n",
    "good_grain": "from gesso import hookimpl\napi = '1'\n@hookimpl\ndef gesso_on_job_event(job, event): pass\n",
}
"""Plugins for the pictures of the Extensions tab: name → source."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    parser.add_argument("--all", action="store_true", help="Also the narrow ones of every scene, dark and light.")
    parser.add_argument("--tabs", nargs="+", default=["txt2img", "extensions"], choices=["txt2img", "extensions"])
    parser.add_argument("--url", default="", help="A page that is already served.")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    args.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gesso-screenshots-")))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=args.chromium, args=FLAGS)
        stack.callback(browser.close)
        if "txt2img" in args.tabs:
            url = args.url or stack.enter_context(serving(home))
            shoot(browser, url, args.folder, args.all)
        if "extensions" in args.tabs:
            plugins = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gesso-screenshots-")))
            for name, text in BROKEN.items():
                (plugins / f"{name}.py").write_text(text)
            (plugins / "home").mkdir()
            url = stack.enter_context(serving(plugins / "home", "--plugins-dir", str(plugins)))
            shoot_extensions(browser, url, args.folder, args.all)
    print(f"{len(list(args.folder.glob('*.png')))} pictures in {args.folder}")


if __name__ == "__main__":
    main()
