"""How soon the page can be used in a browser with none and with 50 extra plugins. Prints JSON.

    python benchmarks/page.py [--plugins 50] [--runs 3]

Each plugin adds a tab, a panel in every generation tab, and a record with five parameters. Both pages are served at the
same time and opened in turn in a fresh browser context. "interactive" is the time from the request until the button
"Generate" can be pressed and the token counter has answered, which takes every script and the first events. Bytes are
those that came over the wire, requests are counted until then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TIMES = 2.0
"""What gesso promises: with 50 plugins at most so many times the time with none."""
PLUGIN = """
from gesso import Panel, PanelFn, Params, Record, Tab, TabFn, hookimpl, lazy, param
api = "1"

class Fields(Params):
    on: bool = param(False, label="On")
    amount: float = param(0.5, ge=0, le=1, step=0.01, label="Amount")
    number: int = param(3, ge=0, le=10, label="Number")
    words: str = param("", label="Words")
    way: str = param("a", choices=("a", "b", "c"), label="Way")

@hookimpl
def gesso_register_params(registry):
    registry.add(Record(name="{name}", label="{name}", params=Fields))

@hookimpl
def gesso_register_panels(registry):
    registry.add(Panel(name="{name}", label="{name}", build=lazy("{name}:panel", PanelFn)))

@hookimpl
def gesso_register_tabs(registry):
    registry.add(Tab(name="{name}", label="{name}", build=lazy("{name}:tab", TabFn)))

def panel(page, form):
    import gradio as gr
    prompt = form.component("prompt")
    gr.Button("Louder").click(str.upper, prompt, prompt)

def tab(page):
    import gradio as gr
    gr.Button("Say").click(lambda: "yes", outputs=gr.Textbox(label="Said"))
"""
PATIENCE_MS = 240_000
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
READY = """() => {
  const button = document.querySelector(".gesso-generate-button");
  return button?.checkVisibility() && document.querySelector(".gesso-tokens")?.textContent.includes("/");
}"""
SEEN = """() => ({
  tabs: window.gradio_config.components.filter((one) => one.type === "tabitem").length,
  accordions: document.querySelectorAll("#tab-txt2img button.label-wrap").length,
})"""


def write_plugins(folder: Path, count: int) -> None:
    """So many plugin files."""
    for number in range(count):
        name = f"bench_{number:02}"
        (folder / f"{name}.py").write_text(PLUGIN.replace("{name}", name), encoding="utf-8")


@contextlib.contextmanager
def serving(home: Path, plugins: Path) -> Iterator[str]:
    """A page with the plugins of a folder; its address."""
    command = [sys.executable, "-P", "-m", "gesso", "--plugins-dir", str(plugins), "ui", "--no-browser", "--port", "0"]
    environment = {**os.environ, "GESSO_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                return
        raise SystemExit("The page did not start.")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def visit(browser: Any, url: str) -> dict[str, float]:
    """One visit by somebody new: seconds until it can be used, bytes, requests."""
    context = browser.new_context()
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    got = {"bytes": 0.0, "requests": 0.0}

    def count(event: dict[str, Any]) -> None:
        got["bytes"] += event["encodedDataLength"]
        got["requests"] += 1

    wire.on("Network.loadingFinished", count)
    begin = time.perf_counter()
    page.goto(url)
    page.wait_for_function(READY, timeout=PATIENCE_MS)
    seconds = time.perf_counter() - begin
    seen = page.evaluate(SEEN)
    context.close()
    return {"interactive_s": seconds, **got, **seen}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    counts = {"none": 0, "many": args.plugins}
    with contextlib.ExitStack() as stack:
        urls = {}
        for name, count in counts.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gesso-bench-")))
            (folder / "plugins").mkdir()
            write_plugins(folder / "plugins", count)
            urls[name] = stack.enter_context(serving(folder / "home", folder / "plugins"))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=args.chromium, args=FLAGS)
        stack.callback(browser.close)
        for url in urls.values():
            visit(browser, url)  # what is made on the first visit is made
        visits = {name: [] for name in urls}
        for _ in range(args.runs):
            for name, url in urls.items():
                visits[name].append(visit(browser, url))
    middle = {
        name: {key: statistics.median(one[key] for one in rows) for key in rows[0]} for name, rows in visits.items()
    }
    if middle["many"]["tabs"] - middle["none"]["tabs"] != args.plugins:
        raise SystemExit(f"Not all plugins are in the page: {middle}")
    ratio = middle["many"]["interactive_s"] / middle["none"]["interactive_s"]
    held = ratio <= TIMES
    print(json.dumps({"plugins": args.plugins, **middle, "ratio": ratio, "promised": TIMES, "held": held}, indent=2))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
