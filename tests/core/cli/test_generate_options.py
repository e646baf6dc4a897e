"""Options that plugins' records add to `gesso generate`, files by path, folders of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from gesso.cli.main import root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("home")

    def call(*arguments: object) -> Result:
        return CliRunner(env={"GESSO_HOME": str(home)}).invoke(root, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "blue.png"
    Image.new("RGB", (64, 64), "blue").save(path)
    return path


QUICK = ("--steps", "2", "--sampler", "euler", "--seed", "5")


def test_all_options_are_listed(run: Any) -> None:
    said = run("generate", "--options").stdout
    for words in ("--init FILE", "--init-dir FOLDER", "--strength VALUE", "img2img.strength", "--outpaint "):
        assert words in said


def test_options_and_files_reach_the_request(run: Any, checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    result = run("generate", "--strength=0.5", "x", "--init", picture, "--model", checkpoint, *QUICK, "--out", out,
                 "--set", "img2img.resize_mode=Crop and resize", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)["job"]["request"]["params"]["img2img"]
    assert (record["strength"], record["resize_mode"]) == (0.5, "Crop and resize")
    assert record["init"]["type"] == "image/png"
    assert "Denoising strength: 0.5" in run("info", out).stdout


def test_a_file_by_set_is_the_same(run: Any, checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "1.png", tmp_path / "2.png"
    common = ("generate", "x", "--model", checkpoint, *QUICK)
    assert run(*common, "--init", picture, "--out", one).exit_code == 0
    assert run(*common, "--set", f"img2img.init={picture}", "--out", other).exit_code == 0
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strenght", "0.5"), "Did you mean '--strength'"),
        (("--strength",), "--strength needs a value"),
        (("--strength", "2"), "less than or equal to 1"),
        (("--strength", "0.5"), "needs a picture"),
        (("--init", "/nowhere/x.png"), "/nowhere/x.png cannot be read"),
        (("--init", "/etc/hostname"), "no picture gesso can open"),
        (("--init-dir", "/nowhere"), "/nowhere cannot be read"),
        (("--strength-dir", "/tmp"), "Unknown option"),
        (("--no-strength",), "needs a value"),
    ],
)
def test_what_cannot_be_used_is_one_line(run: Any, checkpoint: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("generate", "x", "--model", checkpoint, *QUICK, *arguments)
    assert result.exit_code != 0
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) <= 2


def test_what_stands_behind_two_dashes_is_the_prompt(run: Any, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    result = run("generate", "--model", checkpoint, *QUICK, "--out", out, "--json", "--", "--strength")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["job"]["request"]["prompt"] == "--strength"


def test_a_folder_is_done_whatever_one_file_is(run: Any, checkpoint: Path, tmp_path: Path) -> None:
    """Three pictures, a damaged one, a text that is no picture at all; masks for all but one."""
    folder, masks, out = tmp_path / "in", tmp_path / "masks", tmp_path / "out"
    folder.mkdir()
    masks.mkdir()
    for name in ("a", "b", "e"):
        Image.new("RGB", (48, 40), "blue").save(folder / f"{name}.png")
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (folder / "notes.txt").write_text("nothing for us")
    for name in ("a", "b", "c"):
        Image.new("L", (48, 40), 255).save(masks / f"{name}.png")
    arguments = ("generate", "x", "--model", checkpoint, *QUICK, "--init-dir", folder, "--mask-dir", masks,
                 "--scale", "2", "--strength", "0.4", "--out", out, "--json")  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    problems = {Path(item["input"]).name: item["error"] for item in found["items"]}
    assert list(problems) == ["a.png", "b.png", "c.jpg", "e.png"]
    assert problems["a.png"] == problems["b.png"] == ""
    assert "no picture" in problems["c.jpg"] or "damaged" in problems["c.jpg"]
    assert "no file called e" in problems["e.png"]
    assert found["failed"] == 2
    assert "2 of 4 pictures came to nothing" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png"]
    with Image.open(out / "a.png") as made:
        assert made.size == (96, 80)
    before = (out / "a.png").read_bytes()
    run(*arguments)
    assert sorted(path.name for path in out.iterdir()) == ["a-1.png", "a.png", "b-1.png", "b.png"]
    assert (out / "a.png").read_bytes() == before


def test_one_mask_for_a_folder(run: Any, checkpoint: Path, tmp_path: Path) -> None:
    folder, masks, out = tmp_path / "in", tmp_path / "masks", tmp_path / "out"
    for path in (folder, masks):
        path.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 64), "blue").save(folder / f"{name}.png")
    Image.new("L", (64, 64), 255).save(masks / "all.png")
    result = run(
        "generate", "x", "--model", checkpoint, *QUICK, "--init-dir", folder, "--mask-dir", masks, "--out", out
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(out / "a.png"), str(out / "b.png")]


def test_an_empty_folder_and_a_file_for_a_folder_are_told(run: Any, checkpoint: Path, tmp_path: Path) -> None:
    common = ("generate", "x", "--model", checkpoint, *QUICK, "--init-dir", tmp_path)
    assert "no picture in" in run(*common).stderr
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert "is no folder" in run(*common, "--out", tmp_path / "x.png").stderr
