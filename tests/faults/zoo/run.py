"""Builds the fault zoo, installs it with pip into a throw-away environment, and tries every plugin in it.

    python tests/faults/zoo/run.py [--only NAME …] [--folder FOLDER]

Prints JSON: for each plugin whether the page boots, all others work, the demo picture stays as it is, and the report
says whose fault it was. `tools/fault_zoo.py` makes the page of the documentation from it, `test_zoo.py` holds it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from entries import ENTRIES, TEN, Entry
from trial import ASKED

from gesso import PluginState
from gesso.plugins.state import merged
from gesso.testing.overlay import Overlay, Source

HERE = Path(__file__).parent
PATIENCE_S = 150.0


@dataclass
class Finding:
    """What came of one plugin. `problems` is empty when every promise was kept; `broken` names those that were not."""

    name: str
    does: str
    state: str = ""
    where: str = ""
    error: str = ""
    problems: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def breaks(self, promise: str, problem: str) -> None:
        """`promise`: boots, others, picture or report."""
        self.problems.append(problem)
        self.broken.append(promise)


def sources(entry: Entry) -> list[Source]:
    """The distributions of an entry: its own, and its twin."""
    made = [source(entry, entry.dist, entry.name)]
    if entry.twin:
        point = entry.name if entry.twin == "point" else f"aa_{entry.name}"
        made.append(source(entry, twin(entry), point))
    return made


def twin(entry: Entry) -> str:
    """The name of the second distribution; by the entry points' names it is loaded first."""
    return entry.dist.replace("gesso-zoo-", "gesso-zoo-aa-")


def source(entry: Entry, dist: str, point: str) -> Source:
    package = dist.replace("-", "_")
    files = {"__init__": "", "plugin": entry.head + entry.module.replace("{name}", entry.name) + "\n", **entry.files}
    texts = {f"{package}/{name}.py": text for name, text in files.items()}
    return Source(dist, texts, {point: f"{package}.plugin"}, requires=entry.requires)


def ids(entry: Entry) -> list[str]:
    """`dist:name` of all its plugins."""
    if not entry.twin:
        return [entry.id]
    return [entry.id, f"{twin(entry)}:{entry.name if entry.twin == 'point' else f'aa_{entry.name}'}"]


class Zygote:
    """A process that tries one request after the other; several threads may ask."""

    def __init__(self, overlay: Overlay, kind: str) -> None:
        self._lock = threading.Lock()
        self.cpu = 0.0
        quiet = overlay.environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", HF_HUB_OFFLINE="1")
        command = [str(overlay.python), "-P", str(HERE / "trial.py"), kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet)

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = dict(json.loads(self._process.stdout.readline()))
        self.cpu += answer.get("cpu", 0.0)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


class Zoo:
    """The environment with all plugins in it, and what it is like without any."""

    def __init__(self, folder: Path, entries: Sequence[Entry]) -> None:
        self.folder, self.entries = folder, entries
        self.overlay = Overlay(folder)
        self.page, self.worker = Zygote(self.overlay, "page"), Zygote(self.overlay, "worker")
        self.overlay.install(*[made for entry in entries for made in sources(entry)])
        for entry in entries:
            self._damage(entry)
        # As at the first start after an install: everything is probed, all at once, and the command line works.
        listed = self.overlay.run("-m", "gesso", "plugins", "list", "--json").stdout
        self.listed = {f"{row['dist']}:{row['name']}": row for row in json.loads(listed)}
        settings = self.overlay.home / "settings"
        settings.mkdir(exist_ok=True)
        limits = {"niceness": 0, "threads": 1, "first_step_seconds": 20, "step_seconds": 20}
        (settings / "settings.json").write_text(json.dumps({"worker": limits}))
        self.plain = self.page.ask(folder=str(folder / "plain"), home=str(self.overlay.home), only=["builtin"])
        assert not self.plain["ended"], self.plain["ended"]
        made = self._work("plain-worker", self.overlay.home, ["builtin"], [self.plain["job"]])
        assert not made["ended"], made["ended"]
        assert made["made"][0]["pictures"], made["made"]
        self.picture = made["made"][0]["pictures"][0]

    def close(self) -> None:
        self.page.close()
        self.worker.close()

    def _damage(self, entry: Entry) -> None:
        info = self.overlay.site / f"{entry.package}-1.0.dist-info"
        if entry.damage == "metadata":
            (info / "METADATA").write_bytes(b"\xff\xfe\x00 no metadata")
        elif entry.damage == "files":
            shutil.rmtree(self.overlay.site / entry.package)

    def _work(self, name: str, home: Path, only: list[str] | None, jobs: list[Any]) -> dict[str, Any]:
        return self.worker.ask(folder=str(self.folder / name), home=str(home), only=only, jobs=jobs)

    def home(self, name: str) -> Path:
        """A data folder of its own, in which everything is known already."""
        return Path(shutil.copytree(self.overlay.home, self.folder / f"home-{name}"))

    # --- one plugin -----------------------------------------------------------------------------------------------

    def try_entry(self, entry: Entry) -> Finding:
        finding, home = Finding(entry.name, entry.does), self.home(entry.name)
        only = ["builtin", *ids(entry)]
        leave = {"uninstall": entry.dist} if entry.damage == "uninstalled" else {}
        seen = self.page.ask(
            folder=str(self.folder / entry.name), home=str(home), only=only, reports=ids(entry), **leave
        )  # fmt: skip
        if seen["ended"]:
            finding.breaks("boots", f"The page does not boot: {seen['ended']}")
            return finding
        self._judge_page(seen, ids(entry), finding)
        rows = {row_id(row): row for row in seen["states"]}
        if leave:
            if rows[entry.id]["next_start"] != "uninstalled":
                finding.breaks("report", "It is not seen that it was uninstalled.")
            only = ["builtin"]
        if entry.real_worker:
            self._judge_real(entry, rows, finding)
        else:
            jobs = [seen["job"], *([with_sampler(seen["job"], entry.sampler)] if entry.sampler else []), seen["job"]]
            made = self._work(f"{entry.name}-worker", home, only, jobs)
            self._judge_work(entry, made, finding)
            rows = together(rows, made.get("states", ()))
        self._judge_report(entry, rows, seen["reports"], finding)
        return finding

    def _judge_page(self, seen: dict[str, Any], mine: Sequence[str], finding: Finding) -> None:
        """It boots, with every tab but the plugins' own as without them; nobody else has lost anything."""
        for when in ("tabs", "again"):
            wrong = {tab for tab, card in self.plain["tabs"].items() if seen[when].get(tab, "gone") != card}
            if wrong:
                finding.breaks("others", f"Tabs that are not as they were: {', '.join(sorted(wrong))}.")
        before = {row_id(row): row["state"] for row in self.plain["states"]}
        for row in seen["states"]:
            if row_id(row) not in mine and row["built_in"] and row["state"] != before[row_id(row)]:
                finding.breaks("others", f"{row_id(row)} is {row['state']}: {row['error']}")
        for registry, found in self.plain["records"].items():
            if lost := [name for name, record in found.items() if seen["records"][registry].get(name) != record]:
                finding.breaks("others", f"Others' {registry} have changed: {', '.join(lost)}.")
        if seen["torch"]:
            finding.breaks("others", "torch came into the host.")

    def _judge_work(self, entry: Entry, made: dict[str, Any], finding: Finding) -> None:
        """The demo picture, and a second one after whatever the plugin did, are what they are without it."""
        if made["ended"]:
            finding.breaks("picture", f"The worker's part ended: {made['ended']}")
            return
        first, *others, last = made["made"]
        for which, one in (("first", first), ("last", last)):
            if one["pictures"] != [self.picture]:
                finding.breaks("picture", f"The {which} picture is another one: {one['error'] or one['warnings']}")
        for one in others:
            if entry.id not in one["error"]:
                finding.breaks("report", f"The job with its sampler did not fail as its fault: {one['error']!r}")

    def _judge_real(self, entry: Entry, rows: dict[str, Any], finding: Finding) -> None:
        """With a real page and its worker process: the job fails by the plugin's fault, the next one does not."""
        with self.real(entry.name, ["builtin", *ids(entry)]) as real:
            failed = real.generate(entry.sampler)
            if entry.id not in failed["error"]:
                finding.breaks("report", f"The job did not fail as its fault: {failed['error']!r}")
            if entry.sampler and real.generate("")["pictures"] != 1:
                finding.breaks("picture", "The next job brings no picture.")
            rows |= {row_id(row): row for row in real.states()}
            real.report = real.text(f"/{entry.id}/report")

    def _judge_report(self, entry: Entry, rows: dict[str, Any], reports: dict[str, str], finding: Finding) -> None:
        """The state, and a report that names plugin, distribution, version, hook and phase."""
        row = rows[entry.id]
        finding.state, finding.error = row["state"], short(row["error"])
        finding.where = f"{row['phase']} {row['hook']}".strip()
        for what in ("state", "phase", "hook"):
            if row[what] != getattr(entry, what):
                finding.breaks("report", f"{what} is {row[what]!r}, not {getattr(entry, what)!r} ({row['error']})")
        if entry.words not in row["error"]:
            finding.breaks("report", f"The error says {row['error']!r}, not {entry.words!r}.")
        from gesso.plugins.report import report

        text = report([PluginState.model_validate(row)])
        for part in (entry.id, "1.0", row["phase"], row["hook"]):
            if part not in text:
                finding.breaks("report", f"The report does not name {part!r}.")

    # --- several at once ------------------------------------------------------------------------------------------

    def all_at_once(self) -> Finding:
        """Everything that is installed, in one page."""
        finding = Finding("all", f"all {len(self.entries)} of them at once")
        seen = self.page.ask(folder=str(self.folder / "all"), home=str(self.home("all")), only=None)
        if seen["ended"]:
            finding.breaks("boots", f"The page does not boot: {seen['ended']}")
            return finding
        self._judge_page(seen, [id_ for entry in self.entries for id_ in ids(entry)], finding)
        finding.state = f"{sum(row['state'] != 'enabled' for row in seen['states'])} not enabled"
        return finding

    def ten_at_once(self) -> Finding:
        """Ten that fail in ten ways, in a real `gesso ui` with its worker: it boots, makes the picture, and tells."""
        chosen = [entry for entry in self.entries if entry.name in TEN]
        finding = Finding("ten", f"ten at once in a real page and worker: {', '.join(e.name for e in chosen)}")
        with self.real("ten", ["builtin", *[entry.id for entry in chosen]]) as real:
            tabs = real.tabs()
            if lost := [tab for tab in self.plain["tabs"] if tabs.get(tab, "gone")]:
                finding.breaks("others", f"Tabs that are not as they were: {', '.join(lost)}.")
            made = real.generate("")
            if made["hashes"] != [self.picture]:
                finding.breaks("picture", f"The picture is another one: {made['error']}")
            rows = {row_id(row): row for row in real.states()}
        for entry in chosen:
            row = rows[entry.id]
            if (row["state"], row["phase"], row["hook"]) != (entry.state, entry.phase, entry.hook):
                finding.breaks("report", f"{entry.id}: {row['state']} {row['phase']} {row['hook']} {row['error']}")
        finding.state = f"{sum(row['state'] == 'enabled' for row in rows.values())} of {len(rows)} enabled"
        return finding

    @contextlib.contextmanager
    def real(self, name: str, only: list[str]) -> Iterator[Real]:
        """A `gesso ui` process in a data folder of its own."""
        real = Real(self.overlay, self.home(f"real-{name}"), ",".join(only))
        try:
            yield real
        finally:
            real.close()


class Real:
    """A served page, and the command line beside it."""

    def __init__(self, overlay: Overlay, home: Path, only: str) -> None:
        self._overlay, self._home, self._only = overlay, home, only
        self.report = ""
        self._process = subprocess.Popen(
            [str(overlay.python), "-P", "-m", "gesso", "--only", only, "ui", "--no-browser", "--port", "0"],
            env=overlay.environment(GESSO_HOME=str(home)), stdout=subprocess.PIPE, text=True,
            stderr=(home / "stderr.txt").open("w"),
        )  # fmt: skip
        assert self._process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, self._process.kill)
        watchdog.start()
        found = next(filter(None, (re.search(r"http://\S+", line) for line in self._process.stdout)), None)
        watchdog.cancel()
        if found is None:
            raise RuntimeError("gesso ui ended: " + (home / "stderr.txt").read_text()[-3000:])
        self.url = found[0].rstrip("/")

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self._process.kill()
        self._process.wait()

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.url}/gesso/plugins{path}", timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def states(self) -> list[dict[str, Any]]:
        return list(json.loads(self.text("")))

    def tabs(self) -> dict[str, str]:
        from trial import look

        return look(self.url)

    def generate(self, sampler: str) -> dict[str, Any]:
        """One demo picture by way of the page's queue and worker."""
        out = self._home / "made"
        shutil.rmtree(out, ignore_errors=True)
        words = ["--seed", "7", "--steps", "5", "--width", "64", "--height", "64", "--sampler", sampler or "euler"]
        done = self._overlay.run(
            "-m", "gesso", "--only", self._only, "generate", ASKED["prompt"], *words, "--out", f"{out}/", "--json",
            check=False, env={"GESSO_HOME": str(self._home)}, timeout=PATIENCE_S,
        )  # fmt: skip
        answer = json.loads(done.stdout or "{}")
        hashes = [artifact["sha256"] for artifact in answer.get("artifacts", ())]
        return {"hashes": hashes, "pictures": len(hashes), "error": done.stderr}


def with_sampler(job: dict[str, Any], sampler: str) -> dict[str, Any]:
    return {**job, "id": "f" * 32, "request": {**job["request"], "sampler": sampler}}


def row_id(row: dict[str, Any]) -> str:
    return f"{row['dist']}:{row['name']}"


def together(host: dict[str, Any], worker: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows as a running page has them: what host and worker know."""
    there = {row_id(row): PluginState.model_validate(row) for row in worker}
    here = {id_: PluginState.model_validate(row) for id_, row in host.items()}
    return {id_: merged(state, there.get(id_)).model_dump(mode="json") for id_, state in here.items()}


def short(text: str) -> str:
    """The first line, without paths of this run."""
    line = re.sub(r"(/[\w.@-]+)+/(?=[\w.-]+)", "…/", text.strip().partition("\n")[0])
    return line if len(line) <= 140 else line[:139] + "…"


def run(folder: Path, names: Sequence[str] = ()) -> dict[str, Any]:
    """Findings for all entries, or for those named, as plain data."""
    begun = time.monotonic()
    entries = [entry for entry in ENTRIES if not names or entry.name in names]
    zoo = Zoo(folder, entries)
    ready = time.monotonic() - begun
    staying = [entry for entry in entries if entry.damage != "uninstalled"]
    with contextlib.closing(zoo), ThreadPoolExecutor(2) as pool:
        dear = sorted(staying, key=lambda entry: not entry.real_worker)
        ten = [] if names else [pool.submit(zoo.ten_at_once)]
        found = {entry.name: pool.submit(zoo.try_entry, entry) for entry in dear}
        findings = {name: future.result() for name, future in found.items()}
        several = [future.result() for future in ten] + ([] if names else [zoo.all_at_once()])
        # Last: what is installed changes, so that every bad verdict is void. pip fails where metadata is no text.
        for entry in entries:
            if entry.damage == "metadata":
                shutil.rmtree(zoo.overlay.site / f"{entry.package}-1.0.dist-info")
        findings |= {entry.name: zoo.try_entry(entry) for entry in entries if entry not in staying}
    ordered = [findings[entry.name] for entry in entries]
    return {
        "seconds": {"install and probe": round(ready), "all": round(time.monotonic() - begun)},
        "cpu": {"page": round(zoo.page.cpu, 1), "worker": round(zoo.worker.cpu, 1)},
        "findings": [asdict(finding) for finding in ordered], "several": [asdict(finding) for finding in several],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], choices=[entry.name for entry in ENTRIES], metavar="NAME")
    parser.add_argument("--folder", type=Path, help="Where to work; kept afterwards.")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gesso-zoo-")))
        result = run(folder, args.only)
    print(json.dumps(result, indent=1))
    wrong = [one for one in result["findings"] + result["several"] if one["problems"]]
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
