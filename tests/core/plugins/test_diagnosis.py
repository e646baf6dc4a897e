"""`gesso plugins doctor`, `report`, `reset`, `bisect`, `trace`: whose fault it is, on real distributions."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from gesso.plugins.bisect import Answers, NotFoundError, find_guilty
from gesso.plugins.report import report, without_secrets
from gesso.plugins.trace import short
from gesso.types import PluginState


def gesso(site: Any, *args: str, check: bool = True) -> Any:
    return site.run("", args=("-m", "gesso", *args), check=check)


# --- doctor, report, reset ------------------------------------------------------------------------------------------


def test_doctor_names_conflicts_states_and_what_to_do(site):
    site.plugin("good")
    site.plugin("bad", "1/0")
    head = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n"
    site.plugin("wants-old", metadata=head.format("wants-old") + "Requires-Dist: pluggy<1\n")
    site.plugin("wants-new", metadata=head.format("wants-new") + "Requires-Dist: pluggy>=1.5\n")
    site.plugin("wants-none", metadata=head.format("wants-none") + "Requires-Dist: nobody-has-this>=2\n")
    done = gesso(site, "plugins", "doctor", "--json", check=False)
    assert done.returncode == 1
    found = {row["about"]: row for row in json.loads(done.stdout)["problems"]}
    assert found.keys() == {"bad:bad", "wants-old", "wants-none"}
    assert "import" in found["bad:bad"]["problem"]
    assert "gesso plugins disable bad:bad" in found["bad:bad"]["advice"]
    assert "wants-old 1.0 needs pluggy<1" in found["wants-old"]["problem"]
    assert "wants-new 1.0 needs pluggy>=1.5" in found["wants-old"]["advice"]
    assert "pip install 'nobody-has-this>=2'" in found["wants-none"]["advice"]
    assert "ZeroDivisionError" in gesso(site, "plugins", "doctor", check=False).stdout


def test_doctor_is_content_when_all_is_well(site):
    site.plugin("good")
    assert gesso(site, "plugins", "doctor").stdout == "All 1 plugins are well, and what they need is there.\n"


def test_the_report_names_all_and_nothing_personal():
    home = str(Path.home())
    state = PluginState(
        name="odd", dist="gesso-odd", version="1.2", state="quarantined", phase="hook", hook="gesso_on_step",
        error="no",
        traceback=f'File "{home}/x.py"\nTOKEN=abcdef12345 https://me:pass@host/ Authorization: Bearer xyz987',
    )  # fmt: skip
    text = report([state, PluginState(name="own", dist="gesso", version="1", built_in=True)])
    for part in ("| gesso |", "| torch |", "`gesso-odd:odd`", "1.2", "quarantined", "hook gesso_on_step", '"~/x.py"'):
        assert part in text
    for part in (home + "/", "abcdef12345", "me:pass", "xyz987", "`gesso:own`"):
        assert part not in text
    assert without_secrets("token limit of 77 tokens") == "token limit of 77 tokens"


def test_report_on_the_command_line(site):
    site.plugin("good")
    site.plugin("bad", "1/0")
    assert "ZeroDivisionError" in gesso(site, "plugins", "report").stdout
    document = json.loads(gesso(site, "plugins", "report", "good", "--json").stdout)
    assert [row["name"] for row in document["plugins"]] == ["good"]
    assert "ZeroDivisionError" not in document["report"]
    assert gesso(site, "plugins", "report", "nobody", check=False).returncode == 2


def test_reset_orders_a_new_probe(site):
    flag = site.root / "flag"
    site.plugin("moody", f"import os\nif os.path.exists({str(flag)!r}):\n    1/0\n")
    flag.touch()
    assert "failed" in gesso(site, "plugins", "list").stdout
    flag.unlink()
    assert "failed" in gesso(site, "plugins", "list").stdout  # a bad verdict holds
    assert "moody:moody is probed again" in gesso(site, "plugins", "reset", "moody").stdout
    assert "failed" not in gesso(site, "plugins", "list").stdout


def test_enable_and_disable_in_json(site):
    site.plugin("good")
    off = json.loads(gesso(site, "plugins", "disable", "good", "--json").stdout)
    assert (off["plugin"], off["enabled"]) == ("good:good", False)
    assert json.loads(gesso(site, "plugins", "enable", "good", "--json").stdout)["enabled"] is True


# --- bisect -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 100])
def test_bisect_finds_each_guilty_one_within_its_budget(tmp_path, count):
    names = [f"p{i:03d}" for i in range(count)]
    for guilty in names:
        runs: list[tuple[str, ...]] = []

        def ask(without: Any, guilty: str = guilty, runs: Any = runs) -> bool:
            runs.append(tuple(without))
            return guilty not in without

        answers = Answers.load(tmp_path / "answers.json", names)
        verdict = find_guilty(answers, ask)
        answers.forget()
        assert verdict.guilty == guilty
        assert len(runs) == verdict.runs <= math.ceil(math.log2(count)) + 2


def test_bisect_goes_on_where_it_was_broken_off(tmp_path):
    names, path, runs = ["a", "b", "c", "d"], tmp_path / "answers.json", []

    def ask(without: Any) -> bool:
        runs.append(without)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return "c" not in without

    with pytest.raises(KeyboardInterrupt):
        find_guilty(Answers.load(path, names), ask)
    verdict = find_guilty(Answers.load(path, names), ask)
    assert (verdict.guilty, verdict.runs) == ("c", 4)
    assert len(runs) == 5  # the one that was broken off was asked again
    assert Answers.load(path, ["a", "b"]).told == []  # other suspects, another search


def test_bisect_says_when_it_is_no_plugin(tmp_path):
    for bad, words in ((True, "none of them"), (False, "nothing to search for")):
        with pytest.raises(NotFoundError, match=words):
            find_guilty(Answers(tmp_path / "a.json", ("a", "b")), lambda without, bad=bad: bad)


def test_bisect_by_a_command_and_by_asking(site):
    for name in ("aaa", "bbb", "ccc"):
        site.plugin(name)
    code = (
        "import sys; from gesso.plugins import Host, Selection; import os;"
        "s = Selection(without=tuple(filter(None, os.environ['GESSO_WITHOUT'].split(','))));"
        "h = Host.load(selection=s); sys.exit(h.state('bbb').state == 'enabled')"
    )
    done = gesso(site, "plugins", "bisect", "--json", "--", sys.executable, "-c", code)
    assert json.loads(done.stdout) == {"guilty": "bbb:bbb", "runs": 4, "suspects": 3, "alone": True}
    # The root command obeys the variable too; what cannot be run is no answer.
    assert gesso(site, "plugins", "bisect", "--", "no-such-command", check=False).returncode == 2
    assert "gesso --without aaa:aaa,bbb:bbb,ccc:ccc" in ask(site, "y\nn\n", status=2)
    again = ask(site, "n\ny\n", status=0)
    assert "2 answered before" in again
    assert "It is bbb:bbb, after 4 runs." in again


def ask(site: Any, answers: str, *, status: int) -> str:
    """What `gesso plugins bisect` says to somebody who gives these answers."""
    command = [sys.executable, "-m", "gesso", "plugins", "bisect"]
    code = (
        f"import subprocess, sys; r = subprocess.run({command!r}, input={answers!r}, text=True, capture_output=True);"
        f"print(r.stdout, r.stderr); sys.exit(r.returncode != {status})"
    )
    return str(site.run(code).stdout)


# --- trace ------------------------------------------------------------------------------------------------------------


def test_trace_lists_each_call_with_plugin_arguments_and_ms(site):
    site.plugin("good", "@hookimpl\ndef gesso_register_samplers(registry): ...\n")
    site.plugin("bad", "@hookimpl\ndef gesso_register_stages(registry): 1/0\n")
    done = gesso(site, "plugins", "trace", "--json", "plugins", "list", "--here")
    calls = {call["plugin"]: call for call in map(json.loads, done.stdout.splitlines())}
    assert calls["good:good"]["hook"] == "gesso_register_samplers"
    assert calls["good:good"]["arguments"] == {"registry": "Registrar"}
    assert calls["good:good"]["ms"] >= 0
    assert calls["bad:bad"]["error"] == "ZeroDivisionError: division by zero"
    table = gesso(site, "plugins", "trace", "--plugin", "good", "plugins", "list", "--here").stdout
    assert "register_samplers" in table
    assert "bad:bad" not in table


def test_what_is_traced_is_short():
    assert short("x" * 500) == "x" * 79 + "…"
    assert short({"a": 1, "b": 2}) == "dict of 2"
    assert short(None) == "None"

    class Shy:
        def __repr__(self) -> str:
            raise ValueError

    assert short(Shy()) == "Shy"


def test_profile_names_what_each_plugin_costs(site):
    site.plugin("slow", "import time\n@hookimpl\ndef gesso_register_samplers(registry): time.sleep(0.2)\n")
    site.plugin("good")
    rows = json.loads(gesso(site, "plugins", "profile", "--json", "--steps", "0").stdout)["plugins"]
    assert [row["plugin"] for row in rows] == ["slow:slow", "good:good"]
    assert rows[0]["register_ms"] >= 200
    assert rows[0]["calls"] == 1
