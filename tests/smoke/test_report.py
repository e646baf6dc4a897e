"""The report, its comparison with an earlier one, and the list of known gaps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest

from gesso import BadFileError
from gesso.testing import Installed, find_plugins
from gesso_smoke.gaps import Gap, known_gaps, with_gaps
from gesso_smoke.report import html, lines, new_failures, read_report, report, write
from gesso_smoke.rules import ORDER
from gesso_smoke.run import Result

MOST_GAPS = 0
"""May only be lowered."""
PLUGIN = Installed("gesso-x:x", "x", "gesso-x", "1.0", "gesso_x", built_in=False, local=False)


def results(*outcomes: str) -> list[Result]:
    return [
        Result(PLUGIN.id, ORDER[i], "", outcome, f"<said> {i}", ms=1500.0, mb=2.0)  # type: ignore[arg-type]
        for i, outcome in enumerate(outcomes)
    ]


def test_the_known_gaps_are_few_true_names_and_explained() -> None:
    gaps = known_gaps()
    assert len(gaps) <= MOST_GAPS
    plugins = {plugin.id for plugin in find_plugins()}
    for gap in gaps:
        assert gap.check in ORDER
        assert gap.plugin in plugins
        assert len(gap.reason) > 20


def test_a_gap_without_a_reason_is_none(tmp_path: Path) -> None:
    file = tmp_path / "gaps.toml"
    file.write_text('[[gap]]\nplugin = "a:b"\ncheck = "probe"\nreason = " "\n')
    with pytest.raises(ValueError, match="no reason"):
        known_gaps(file)


def test_a_known_failure_is_a_gap_and_a_closed_gap_a_failure() -> None:
    gaps = [Gap(PLUGIN.id, ORDER[0], "", "for now"), Gap(PLUGIN.id, ORDER[1], "", "for now too")]
    failed, passed, other = with_gaps(results("fail", "pass", "fail"), gaps)
    assert (failed.outcome, other.outcome) == ("gap", "fail")
    assert failed.message == "for now (<said> 0)"
    assert passed.outcome == "fail"
    assert "take it out" in passed.message


def test_only_new_failures_count_against_an_earlier_report(tmp_path: Path) -> None:
    before, now = report([PLUGIN], results("fail", "pass")), report([PLUGIN], results("fail", "fail"))
    path = tmp_path / "folder" / "last.json"
    write(path, json.dumps(before))
    assert new_failures(now, read_report(path)) == [f"gesso-x:x: {ORDER[1]}"]
    assert new_failures(before, now) == []


def test_a_check_that_is_tried_on_nothing_any_more_counts_as_a_failure() -> None:
    before = report([PLUGIN], results("pass", "pass", "skip"))
    assert new_failures(report([PLUGIN], results("pass", "skip", "skip")), before) == [
        f"gesso-x:x: {ORDER[1]} (passed earlier, not tried now)"
    ]
    assert new_failures(report([PLUGIN], results("pass")), before) == [
        f"gesso-x:x: {ORDER[1]} (passed earlier, not tried now)"
    ]
    assert new_failures(report([], []), before) == []  # another selection of plugins says nothing of this one


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 99}', '{"schema": 1}', '{"schema": 1, "plugins": [{}]}'])
def test_what_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(BadFileError, match="no report of gesso smoke"):
        read_report(path)


def test_the_page_shows_every_result_and_escapes_what_plugins_say() -> None:
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            seen.append(data)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag != "said"
            assert tag not in ("script", "link", "img")  # nothing from elsewhere

    text = html(report([PLUGIN], results("pass", "fail", "skip", "gap")))
    Reader().feed(text)
    for i in range(4):
        assert f"<said> {i}" in seen
        assert ORDER[i] in seen


def test_the_terminal_gets_a_line_a_plugin_and_one_a_failure() -> None:
    said = lines(PLUGIN, results("pass", "fail", "skip"))
    assert said == ["✗ gesso-x:x 1.0  1 pass, 1 fail, 1 skip  4.5 s", f"    {ORDER[1]}: <said> 1"]


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    """The runner is killed: the child that checks a plugin does not run on for nobody."""
    slow = tmp_path / "slow_one.py"
    slow.write_text("import os, time\nopen(os.environ['MARK'], 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    mark = tmp_path / "pid"
    code = "import sys, pathlib, gesso.testing as t; t.observe('slow_one', plugins_dir=pathlib.Path(sys.argv[1]))"
    runner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "MARK": str(mark)})
    try:
        while not (mark.exists() and mark.read_text()):
            assert runner.poll() is None
            time.sleep(0.1)
    finally:
        runner.kill()
        runner.wait()
    child = psutil.Process(int(mark.read_text())) if psutil.pid_exists(int(mark.read_text())) else None
    if child is not None:
        child.wait(60)
