"""What the documentation says and what is there must be the same."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

KINDS = "feature|change|bugfix|removal|doc|misc"


def markdown_files(repository: Path) -> list[Path]:
    return sorted([*repository.glob("*.md"), *repository.glob("docs/**/*.md"), *repository.glob("plugins/**/*.md")])


def test_the_site_builds_without_a_warning(repository: Path, tmp_path: Path):
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    assert (tmp_path / "site" / "architecture" / "index.html").is_file()


def test_links_lead_somewhere(repository: Path):
    """Relative links and pictures, in the pages mkdocs sees and in those it does not."""
    broken = []
    for page in markdown_files(repository):
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(repository)}: {target}")
    assert broken == []


def tables(text: str) -> dict[str, list[str]]:
    """First cells of each table by the heading above it."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif cell := re.match(r"\| (?!package|-)([^|]+?) \|", line):
            found.setdefault(heading, []).append(cell[1])
    return found


def test_every_direct_dependency_has_its_line(repository: Path):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = tables((repository / "docs" / "dependencies.md").read_text(encoding="utf-8"))
    wanted = {"What gesso needs to run": project["dependencies"]}
    names = {
        "test": "For the tests", "docs": "For the documentation", "postgres": "For a PostgreSQL database",
        "dev": "For contributors",
    }  # fmt: skip
    for extra, lines in project["optional-dependencies"].items():
        wanted[f"{names[extra]} (`gesso[{extra}]`)"] = lines
    assert said == {heading: [Requirement(line).name for line in lines] for heading, lines in wanted.items()}


def tree_paths(readme: str) -> list[str]:
    """The paths of the commented tree: a name at the start of a line, or below one when indented."""
    block = next(part for part in re.findall(r"```\n(.*?)```", readme, flags=re.DOTALL) if part.startswith("launch.py"))
    paths, folder = [], ""
    for line in block.splitlines():
        if match := re.match(r"(  )?(\S+)", line):
            indented, name = match[1], match[2]
            if indented and line.startswith("   "):
                continue  # a comment that goes on
            folder = folder if indented else name
            paths.append(folder + name if indented else name)
    return paths


def test_the_tree_in_the_readme_is_there(repository: Path):
    paths = tree_paths((repository / "README.md").read_text(encoding="utf-8"))
    assert {"core/gesso/", "core/gesso/engine/", "docs/"} <= set(paths)
    assert [path for path in paths if not (repository / path).exists()] == []


def test_the_paths_on_the_architecture_page_are_there(repository: Path):
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE)
    paths = [path for path in paths if "/" in path]
    assert len(paths) > 10
    assert [path for path in paths if not (repository / path).exists()] == []


def shown_commands(repository: Path) -> list[str]:
    """Every command line with `launch.py` or `gesso` that a page shows."""
    found = set()
    for page in markdown_files(repository):
        text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))  # a command may go on in the next line
        lines = [
            line for block in re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()
        ]
        lines += re.findall(r"`([^`\n]+)`", text)
        found |= {
            line.split(" #")[0].strip() for line in lines if re.match(r"\s*(python3 launch\.py|gesso) [a-z]", line)
        }
    return sorted(found)


def arguments_of(command: str) -> list[str]:
    words = shlex.split(command)
    return words[2:] if words[0] == "python3" else words[1:]


@pytest.mark.slow
def test_the_commands_that_pages_show_exist(repository: Path, gesso_home):
    """Each subcommand is known and knows the options it is shown with; running them is the matter of other tests."""
    commands = [arguments for arguments in map(arguments_of, shown_commands(repository)) if arguments[0] != "test"]
    assert ["generate", "a red circle on a blue background", "--seed", "1", "--out", "a.png"] in commands
    helps: dict[str, str] = {}
    wrong = []
    for arguments in commands:
        words = [word for word in arguments[:2] if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
        text = next((help_ for n in (2, 1) if (help_ := _help(helps, words[:n]))), "")
        before_words = arguments[: arguments.index("--")] if "--" in arguments else arguments
        options = [word for word in before_words if word.startswith("--")]
        if not text or not set(options) <= set(re.findall(r"--[a-z][a-z0-9-]*", text)):
            wrong.append(" ".join(arguments))
    assert wrong == []


def _help(known: dict[str, str], words: list[str]) -> str:
    """The help of a subcommand; empty if there is none."""
    key = " ".join(words)
    if key not in known:
        command = [sys.executable, "-P", "-m", "gesso", *words, "--help"]
        result = subprocess.run(command, capture_output=True, text=True)
        known[key] = result.stdout if result.returncode == 0 else ""
        if key == "generate":  # plugins' own options are listed apart
            known[key] += subprocess.run([*command[:-1], "--options"], capture_output=True, text=True).stdout
    return known[key]


def test_fragments_are_named_so_that_towncrier_finds_them(repository: Path):
    odd = [
        path.name
        for path in (repository / "changes").iterdir()
        if path.name != "README.md" and not re.fullmatch(rf"(\d+|\+[\w-]+)\.({KINDS})(\.\d+)?\.md", path.name)
    ]
    assert odd == []


def test_the_two_first_commands_are_the_ones_ci_runs(repository: Path):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    line = "python3 launch.py test"
    assert f"\n{line}\n" in readme
    last = (repository / ".ci" / "run").read_text(encoding="utf-8").rstrip().splitlines()[-1]
    assert last.removesuffix(" </dev/null") == line
