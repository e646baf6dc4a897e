"""The report: JSON to compare with the last one, HTML to look at, lines for the terminal."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import gesso
from gesso import BadFileError
from gesso.testing import Installed
from gesso_smoke.rules import ORDER, rule
from gesso_smoke.run import Result

SCHEMA = 1
MARKS = {"pass": "✓", "fail": "✗", "skip": "–", "gap": "△"}


def report(plugins: Sequence[Installed], results: Sequence[Result]) -> dict[str, Any]:
    """Everything as one JSON document."""
    rows = []
    for plugin in plugins:
        mine = [result for result in results if result.plugin == plugin.id]
        rows.append(
            {
                "plugin": plugin.id,
                "version": plugin.version,
                "built_in": plugin.built_in,
                "outcome": outcome(mine),
                "ms": round(sum(r.ms for r in mine), 1),
                "mb": round(sum(r.mb for r in mine), 1),
                "checks": [{k: v for k, v in asdict(r).items() if k != "plugin"} for r in mine],
            }
        )
    return {
        "schema": SCHEMA, "gesso": gesso.__version__, "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": dict(Counter(result.outcome for result in results)), "plugins": rows,
    }  # fmt: skip


def outcome(results: Sequence[Result]) -> str:
    """A plugin's own: fail when anything fails, else pass."""
    return "fail" if any(result.outcome == "fail" for result in results) else "pass"


def new_failures(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What fails now and did not in an earlier report, as "plugin: check record".

    A check that passed and now is tried on nothing of its plugin counts too: else a check that silently applies no
    longer would pass for well. Plugins that are in one of the reports alone are not compared.
    """
    here = {row["plugin"] for row in now["plugins"]}
    lost = _named(before, "pass", records=False) - _named(now, "pass", "fail", "gap", records=False)
    gone = [f"{name} (passed earlier, not tried now)" for name in lost if name.partition(": ")[0] in here]
    return sorted(_named(now, "fail") - _named(before, "fail")) + sorted(gone)


def _named(document: Mapping[str, Any], *outcomes: str, records: bool = True) -> set[str]:
    """The results that came out so."""
    return {
        f"{row['plugin']}: {check['check']} {check['record'] if records else ''}".strip()
        for row in document["plugins"]
        for check in row["checks"]
        if check["outcome"] in outcomes
    }


def read_report(path: Path) -> dict[str, Any]:
    """A report written earlier; BadFileError when it is none."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}")
        _named(document, "fail")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFileError(f"{path} is no report of gesso smoke: {error}.") from None
    return document


def write(path: Path, text: str) -> None:
    """Write a report whole: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def lines(plugin: Installed, results: Sequence[Result]) -> list[str]:
    """A plugin's results for the terminal: one line, and one more for each failure."""
    counts = Counter(result.outcome for result in results)
    said = ", ".join(f"{counts[name]} {name}" for name in ("pass", "fail", "gap", "skip") if counts[name])
    head = f"{MARKS[outcome(results)]} {plugin.id} {plugin.version}  {said}  {sum(r.ms for r in results) / 1000:.1f} s"
    failed = [result for result in results if result.outcome == "fail"]
    return [head, *(f"    {r.check} {r.record}: {r.message}".replace(" :", ":") for r in failed)]


# --- HTML ---------------------------------------------------------------------------------------------------------

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1c2330;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .3rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #dfe3ea;vertical-align:top}
td.n{text-align:right;white-space:nowrap}
.pass{color:#18794e}.fail{color:#c62a2f;font-weight:600}.gap{color:#9a6700}.skip{color:#5b6472}
details>summary{cursor:pointer}p.facts{color:#5b6472}
@media(prefers-color-scheme:dark){body{background:#14171d;color:#e3e7ee}th,td{border-color:#2c323d}
.pass{color:#5bc98b}
.fail{color:#ff8a8d}.gap{color:#e2b23c}.skip,p.facts{color:#9aa4b2}}
"""


def html(document: Mapping[str, Any]) -> str:
    """The report as one page without anything from elsewhere."""
    titles = {name: rule(name).title for name in ORDER}
    counts = ", ".join(f"{number} {name}" for name, number in sorted(document["counts"].items()))
    rows = "".join(_row(plugin) for plugin in document["plugins"])
    parts = "".join(_part(plugin, titles) for plugin in document["plugins"])
    facts = f"gesso {document['gesso']} · Python {document['python']} · {document['platform']} · {document['time']}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>gesso smoke</title><style>{STYLE}</style></head><body>'
        f'<h1>gesso smoke</h1><p class="facts">{escape(facts)}</p><p>{escape(counts)}</p>'
        "<table><thead><tr><th>Plugin</th><th>Version</th><th>Result</th><th>Time</th><th>Memory</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{parts}</body></html>\n"
    )


def _row(plugin: Mapping[str, Any]) -> str:
    return (
        f'<tr><td><a href="#{escape(plugin["plugin"])}">{escape(plugin["plugin"])}</a></td>'
        f'<td>{escape(plugin["version"])}</td><td class="{plugin["outcome"]}">{plugin["outcome"]}</td>'
        f'<td class="n">{plugin["ms"] / 1000:.1f} s</td><td class="n">{plugin["mb"]:.0f} MB</td></tr>'
    )


def _part(plugin: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    body = "".join(
        f'<tr><td class="{c["outcome"]}">{MARKS[c["outcome"]]} {c["outcome"]}</td>'
        f'<td title="{escape(titles.get(c["check"], ""))}">{escape(c["check"])}</td><td>{escape(c["record"])}</td>'
        f'<td class="n">{c["ms"]:.0f} ms</td><td class="n">{c["mb"]:.1f} MB</td><td>{escape(c["message"])}</td></tr>'
        for c in plugin["checks"]
    )
    return (
        f'<h2 id="{escape(plugin["plugin"])}">{escape(plugin["plugin"])}</h2><details open><summary>'
        f"{len(plugin['checks'])} checks</summary><table><tbody>{body}</tbody></table></details>"
    )
