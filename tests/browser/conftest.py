"""A served page with the demo model, and a real browser. Nothing here is a stand-in."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
PATIENCE_MS = 120_000
PLUGINS = Path(__file__).with_name("plugins")


@dataclass
class Site:
    """A running `gesso ui`."""

    home: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def start(home: Path, port: int = 0) -> Site:
    command = [
        sys.executable,
        "-P",
        "-m",
        "gesso",
        "--plugins-dir",
        str(PLUGINS),
        "ui",
        "--no-browser",
        "--port",
        str(port),
    ]
    environment = {**os.environ, "GESSO_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return Site(home, int(found[1]), process)
    raise AssertionError(f"gesso ui ended with {process.wait()}")


def stop(site: Site) -> None:
    site.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        site.process.wait(60)
    site.process.kill()
    site.process.wait()
    assert site.process.stdout is not None
    site.process.stdout.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all browser tests, as one serves all people of a machine."""
    home = tmp_path_factory.mktemp("page-home")
    (home / "settings").mkdir()
    # These tests wait for pictures: the worker need not stand back for anybody. With one thread it gets on where others
    # compute too; several would spend their time waiting for each other.
    (home / "settings" / "settings.json").write_text('{"worker": {"niceness": 0, "threads": 1}}')
    running = start(home)
    yield running
    stop(running)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """For a module and no longer: Playwright keeps an event loop running in this thread as long as it lives."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("GESSO_TEST_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """One person's page. `complaints`: errors of scripts, `foreign`: requests that went elsewhere."""

    page: Any
    complaints: list[str]
    foreign: list[str]

    def fill(self, name: str, value: str) -> None:
        box = self.page.locator(f"#txt2img-{name}").locator("textarea, input:not([type=range])").first
        box.fill(value)
        box.blur()

    def choose(self, name: str, label: str) -> None:
        box = self.page.locator(f"#txt2img-{name} input")
        box.click()
        self.page.get_by_role("option", name=label, exact=True).click()

    def generate(self, prompt: str, **fields: str) -> None:
        for name, value in {"prompt": prompt, **fields}.items():
            self.fill(name.replace("_", "-") if name != "negative_prompt" else name, value)
        self.page.click(".gesso-generate-button")

    def wait(self, selector: str, **how: Any) -> Any:
        return self.page.wait_for_selector(selector, timeout=PATIENCE_MS, **how)

    def wait_until(self, expression: str) -> None:
        """Until a JavaScript expression is true."""
        self.page.wait_for_function(expression, timeout=PATIENCE_MS)

    def wait_busy(self) -> None:
        self.wait(".gesso-generation.gesso-busy")

    def wait_idle(self) -> None:
        self.wait(".gesso-generation:not(.gesso-busy)")

    def wait_for_line(self, pattern: str) -> str:
        self.wait_until(f"new RegExp({pattern!r}).test(document.querySelector('.gesso-line').textContent)")
        return str(self.page.inner_text(".gesso-line"))

    def infotext(self) -> str:
        return str(self.page.locator(".gesso-infotext textarea").input_value())


@pytest.fixture
def visit(chromium: Any, site: Site) -> Iterator[Callable[..., Visit]]:
    """Open the page as somebody new: `visit(width=360, language="de")`."""
    contexts = []

    def open_page(width: int = 1440, height: int = 900, language: str = "en") -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": height}, locale=language)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        visitor = Visit(page, [], [])
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        page.on("console", lambda m: visitor.complaints.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: _note_foreign(request.url, visitor.foreign))
        page.goto(site.url)
        visitor.wait(".gesso-generate-button")
        visitor.wait_until("document.querySelector('[data-state]')")
        return visitor

    yield open_page
    for context in contexts:
        context.close()


def _note_foreign(url: str, foreign: list[str]) -> None:
    if not re.match(r"(http://127\.0\.0\.1[:/]|data:|blob:)", url):
        foreign.append(url)


@pytest.fixture
def quiet(site: Site) -> Iterator[None]:
    """Whatever a test leaves running is cancelled, so that the next one need not wait."""
    from gesso.jobs.queue import JobQueue
    from gesso.store import Store

    yield
    store = Store.open(site.home)
    queue = JobQueue(store)
    for record in queue.jobs("queued", "running"):
        queue.cancel(record.id)
    for record in queue.jobs("running"):
        queue.wait(record.id, 30)
    store.close()
