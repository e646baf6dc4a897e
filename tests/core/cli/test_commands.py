"""The command line, in this process (one real process at the end of the file)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gesso.cli.generate import parse_settings
from gesso.cli.main import root
from gesso.contributions import ANCHORS
from gesso.errors import InvalidInputError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("home")

    def call(*arguments: str) -> Result:
        return CliRunner(env={"GESSO_HOME": str(home)}).invoke(root, list(arguments))

    return call


def document(result: Result) -> Any:
    """The one JSON document on stdout."""
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def picture(run: Any, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    out = tmp_path_factory.mktemp("out") / "a.png"
    result = run(
        "generate", "a red circle", "--model", str(checkpoint), "--steps", "2", "--seed", "5", "--cfg", "3",
        "--negative", "a blue star", "--sampler", "euler a", "--set", "sampler.eta=0.5", "--out", str(out), "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out, document(result)


def test_generate_writes_the_file_and_one_document(picture: tuple[Path, Any]) -> None:
    out, data = picture
    assert out.read_bytes().startswith(b"\x89PNG")
    assert data["artifacts"][0]["file"] == str(out)
    request = data["job"]["request"]
    assert (request["sampler"], request["steps"], request["seed"], request["width"]) == ("euler_ancestral", 2, 5, 64)
    assert request["params"]["sampler"]["eta"] == 0.5


def test_info_reads_it_back(run: Any, picture: tuple[Path, Any]) -> None:
    data = document(run("info", str(picture[0]), "--json"))
    assert (data["prompt"], data["negative_prompt"], data["source"]) == ("a red circle", "a blue star", "gesso")
    assert list(data["params"])[:6] == ["Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size"]
    assert data["params"]["Eta"] == "0.5"
    assert "Steps: 2" in run("info", str(picture[0])).stdout


def test_info_of_something_else_is_one_error(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "notes.png"
    file.write_text("not a picture")
    result = run("info", str(file), "--json")
    assert result.exit_code == 2
    assert str(file) in document(result)["error"]["message"]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--sampler", "eulr a", "Did you mean 'Euler a'"),
        ("--scheduler", "karas", "Did you mean 'Karras'"),
        ("--model", "no-such-model", "Unknown model"),
        ("--width", "100", "multiple of 8"),
        ("--steps", "0", "steps"),
        ("--set", "nonsense", "plugin.field=value"),
        ("--set", "nobody.x=1", "Unknown plugin parameter section 'nobody'"),
        ("--set", "sampler.etaa=1", "Did you mean 'eta'"),
        ("--set", "sampler.eta=lots", "sampler.eta"),
    ],
)
def test_bad_values_are_one_error_with_what_to_do(
    run: Any, checkpoint: Path, option: str, value: str, message: str
) -> None:
    arguments = ["generate", "x", "--steps", "1", "--sampler", "euler a", "--model", str(checkpoint), option, value]
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_unknown_commands_name_neighbours(run: Any) -> None:
    result = run("generat", "x")
    assert result.exit_code == 2
    assert "Did you mean 'generate'" in result.stderr


def test_lists_as_json(run: Any) -> None:
    samplers = {s["name"]: s for s in document(run("samplers", "--json"))}
    assert samplers["dpmpp_2m"]["label"] == "DPM++ 2M"
    assert samplers["dpmpp_2m"]["plugin"] == "gesso:samplers"
    assert {"automatic", "karras", "sgm_uniform", "simple"} <= {
        s["name"] for s in document(run("schedulers", "--json"))
    }
    stages = document(run("explain", "--json"))
    anchors = list(dict.fromkeys(stage["anchor"] for stage in stages["stages"]))
    assert anchors == [anchor for anchor in ANCHORS if anchor in anchors]
    assert {"load", "encode", "init", "sample", "decode", "postprocess", "save"} <= set(anchors)
    assert stages["problems"] == {}
    assert "DPM++ 2M" in run("samplers").stdout


def test_models_are_scanned_and_refusals_explained(
    run: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "mine.safetensors").symlink_to(checkpoint)
    (folder / "old.ckpt").write_bytes(b"PK\x03\x04" + b"0" * 100)
    (folder / "cut.safetensors").write_bytes(checkpoint.read_bytes()[:5000])
    result = CliRunner(env={"GESSO_HOME": str(tmp_path)}).invoke(root, ["models", "scan", "--hashes", "--json"])
    entries = {e["name"]: e for e in document(result) if not e["built_in"]}
    good = entries["mine"]
    assert (good["family"], good["state"], good["dtype"]) == ("sd1", "ok", "F16")
    assert len(good["short_hash"]) == 10
    assert "pickle" in entries["old"]["problem"]
    assert "truncated" in entries["cut"]["problem"]


def test_doctor_finds_this_installation_in_order(run: Any) -> None:
    checks = {c["check"]: c for c in document(run("doctor", "--json"))["checks"]}
    assert checks["plugins"]["ok"], checks["plugins"]["found"]
    assert checks["packages"]["ok"]


def test_safe_mode_and_selection(run: Any) -> None:
    assert run("--safe-mode", "samplers").exit_code == 0
    assert "No samplers are registered." in run("--without", "samplers", "samplers").stdout
    assert document(run("--only", "", "explain", "--json")) == {"stages": [], "problems": {}}
    result = run("--without", "smaplers", "samplers")
    assert result.exit_code == 2
    assert "samplers" in result.stderr


def test_settings_are_parsed() -> None:
    assert parse_settings(["a.x=1", "a.y=b=c", "b.z="]) == {"a": {"x": "1", "y": "b=c"}, "b": {"z": ""}}
    with pytest.raises(InvalidInputError):
        parse_settings(["a=1"])


def test_several_pictures_are_numbered(run: Any, checkpoint: Path, tmp_path: Path) -> None:
    result = run("generate", "x", "-m", str(checkpoint), "--steps", "1", "--count", "2", "-o", str(tmp_path / "b.png"))
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in tmp_path.glob("*.png")) == ["b-1.png", "b-2.png"]
    result = run("generate", "x", "-m", str(checkpoint), "--steps", "1", "--seed", "3", "-o", str(tmp_path / "folder"))
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["00000-3.png"]


def test_a_real_process_prints_only_json(checkpoint: Path, tmp_path: Path, gesso_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gesso", "generate", "x", "-m", str(checkpoint), "--steps", "1", "--json",
         "-o", str(tmp_path / "c.png")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"][0]["width"] == 64
    assert (tmp_path / "c.png").exists()
