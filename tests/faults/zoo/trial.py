"""Tries one plugin of the zoo after the other, each in a fresh process, and says what came of it.

    python -P trial.py page|worker < REQUESTS

A request is a line of JSON, so is its answer. "page" serves the page of a host with the plugin and asks for it over
HTTP; "worker" runs the demo job as the worker process does. To start Python, Gradio and torch anew for each would take
minutes: this process imports them once, and forks for each request before any plugin is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE_S = 90.0
ASKED = {
    "prompt": "a red circle on a blue background", "steps": 5, "seed": 7, "width": 64, "height": 64, "sampler": "euler",
}  # fmt: skip


def main(kind: str) -> None:
    prepare, trial = {"page": (prepare_page, try_page), "worker": (prepare_worker, try_worker)}[kind]
    prepare()
    for line in sys.stdin:
        print(json.dumps(in_a_fork(trial, json.loads(line))), flush=True)


def in_a_fork(trial: Any, request: dict[str, Any]) -> dict[str, Any]:
    """What the trial returned, or how its process ended."""
    folder = Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    result, log = folder / "result.json", folder / "log.txt"
    child = os.fork()
    if child == 0:
        os.setsid()
        number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(number, 1)
        os.dup2(number, 2)
        with contextlib.suppress(BaseException):
            try:
                answer = trial(request)
                result.write_text(json.dumps({"cpu": time.process_time(), **answer}), encoding="utf-8")
            except BaseException:
                traceback.print_exc()
        os._exit(0)
    until = time.monotonic() + PATIENCE_S
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.01)
    if result.exists():
        return {"ended": "", **json.loads(result.read_bytes())}
    return {"ended": "It did not come to an end: " + log.read_text(errors="replace")[-3000:]}


# --- the page --------------------------------------------------------------------------------------------------------


def prepare_page() -> None:
    import gradio
    import uvicorn

    import gesso.serving
    import gesso.testing
    import gesso_ui.app

    del gesso_ui, gradio, uvicorn, gesso


def try_page(request: dict[str, Any]) -> dict[str, Any]:
    """Boot a host with the plugins asked for, serve its page, ask for it, resolve the demo job; then tell."""
    import gesso_ui.app
    from gesso.plugins.host import Host
    from gesso.plugins.selection import Selection
    from gesso.testing import contents, headless_page

    os.environ["GESSO_HOME"] = request["home"]
    only = None if request["only"] is None else tuple(request["only"])
    with Host.load("host", home=request["home"], selection=Selection(only=only)) as host:
        host.fill()
        with headless_page(host) as page:
            served = serve(gesso_ui.app.make_app(page.service))
            first = look(served)
            if request.get("uninstall"):
                uninstall(request["uninstall"])
            job = page.service.job(page.service.request(ASKED))
            again = look(served)
            states = [state.model_dump(mode="json") for state in page.service.plugins.states()]
            reports = {name: page.service.plugins.report(name) for name in request.get("reports", ())}
            held = contents(host)
    records = {registry: found for registry, found in held.records.items() if registry != "tabs"}
    return {
        "tabs": first, "again": again, "states": states, "reports": reports, "records": records,
        "job": job.model_dump(mode="json"), "torch": "torch" in sys.modules,
    }  # fmt: skip


def serve(app: Any) -> str:
    """Serve the application on a free port, from a thread; its address."""
    import uvicorn

    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True).start()
    return f"http://127.0.0.1:{bound.getsockname()[1]}"


def look(url: str) -> dict[str, str]:
    """The tabs of the page as a browser gets them: id → "" or the headline of the card that stands in its place."""
    with urllib.request.urlopen(f"{url}/", timeout=PATIENCE_S) as answer:
        assert b"gradio" in answer.read().lower()
    with urllib.request.urlopen(f"{url}/config", timeout=PATIENCE_S) as answer:
        config = json.load(answer)
    parts = {part["id"]: part for part in config["components"]}
    tabs: dict[str, str] = {}

    def walk(node: dict[str, Any], tab: str) -> None:
        part = parts.get(node["id"], {})  # the root is none of them
        if part.get("type") == "tabitem":
            tab = str(part["props"]["id"])
            tabs.setdefault(tab, "")
        elif part.get("type") == "html" and "could not be built" in str(part["props"].get("value")):
            tabs[tab] = str(part["props"]["value"])
        for child in node.get("children") or ():
            walk(child, tab)

    walk(config["layout"], "")
    return tabs


def uninstall(dist: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "--yes", dist], check=True, capture_output=True)


# --- the worker ------------------------------------------------------------------------------------------------------


def prepare_worker() -> None:
    import torch

    torch.set_num_threads(1)
    import diffusers.models.autoencoders.autoencoder_kl
    import diffusers.models.unets.unet_2d_condition
    import transformers.models.clip.modeling_clip

    import gesso.engine.run
    import gesso.metadata.images
    import gesso.models.residency

    del diffusers, transformers, gesso


def try_worker(request: dict[str, Any]) -> dict[str, Any]:
    """Run the jobs in a host as the worker process has it; pictures by hash, warnings, errors, and the states."""
    from gesso.engine.blobs import MemoryBlobs
    from gesso.engine.run import run_job
    from gesso.errors import GessoError
    from gesso.models.residency import Residency
    from gesso.paths import Paths
    from gesso.plugins.host import Host
    from gesso.plugins.patches import NN
    from gesso.plugins.selection import Selection
    from gesso.service import Service
    from gesso.types import Job

    os.environ["GESSO_HOME"] = request["home"]
    only = None if request["only"] is None else tuple(request["only"])
    with Host.load("worker", home=request["home"], selection=Selection(only=only)) as host:
        host.fill()
        host.watch(NN)
        service = Service(host, Paths.of(request["home"]))  # this emits gesso_on_startup
        residency = Residency(host, service.library, device="cpu", dtype="fp32")
        made: list[dict[str, Any]] = []
        for data in request["jobs"]:
            blobs, events = MemoryBlobs(), list[Any]()
            one: dict[str, Any] = {"pictures": [], "error": ""}
            try:
                artifacts = run_job(
                    Job.model_validate(data), blobs, events.append, host=host, residency=residency
                )  # fmt: skip
                one["pictures"] = [hashlib.sha256(blobs.get(artifact.file)).hexdigest() for artifact in artifacts]
            except GessoError as error:
                one["error"] = str(error)
            one["warnings"] = [event.data["message"] for event in events if event.kind == "warning"]
            made.append(one)
        return {"made": made, "states": [state.model_dump(mode="json") for state in host.states]}


if __name__ == "__main__":
    main(sys.argv[1])
