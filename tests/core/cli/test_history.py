"""`gesso history`: found, deleted and brought back from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gesso.cli.main import root
from gesso.jobs.claims import Batch
from gesso.jobs.queue import JobQueue
from gesso.store import Store
from gesso.types import Artifact, Job, ModelRef, Request

RUNNER = CliRunner()


def run(*arguments: str, code: int = 0) -> Any:
    result = RUNNER.invoke(root, ["history", *arguments])
    assert result.exit_code == code, result.output
    return result


def found(*arguments: str) -> list[int]:
    command, *rest = arguments
    return [one["id"] for one in json.loads(run(command, "--json", *rest).stdout)["pictures"]]


@pytest.fixture
def pictures(gesso_home: Path) -> list[int]:
    """A cat and a dog, with files for people."""
    store = Store.open(gesso_home)
    queue = JobQueue(store)
    for number, (prompt, model) in enumerate([("a red cat", "one"), ("a dog on a red sofa", "two")]):
        request = Request(prompt=prompt, sampler="euler", width=64, height=64 * (number + 1))
        job = Job(request=request, model=ModelRef(role="checkpoint", name=model))
        queue.submit(job)
        claim = queue.claim("w")
        assert claim is not None
        ref = store.files.put(prompt.encode(), "image/png")
        meta = {"infotext": f"{prompt}\nSteps: 1, Sampler: Euler, Seed: 5, Size: 64x64", "seed": 5}
        artifact = Artifact(kind="image", file=ref, meta=meta)
        queue.finish(claim, "done", Batch(artifacts=[(0, 0, artifact)], made=[0]))
        path = gesso_home / f"{number}.png"
        path.write_bytes(prompt.encode())
        queue.promise_path(queue.artifacts(job.id)[0].id, str(path))
    store.close()
    return [1, 2]


def test_search_delete_restore_purge(gesso_home: Path, pictures: list[int]) -> None:
    cat, dog = pictures
    assert found("list") == [dog, cat]
    assert found("list", "--limit", "1", "--offset", "1") == [cat]
    assert found("search", "red", "dog") == [dog]
    assert found("search", "red dog") == []  # in one argument: together
    assert found("search", "--", "red", "-sofa") == [cat]
    assert found("search", "--model", "one", "--size", "64x64") == [cat]
    assert found("search", "--until", "2000-01-01") == []
    assert found("search", "--since", "2000-01-01") == [dog, cat]
    assert "a dog on a red sofa" in run("list").stdout
    assert "Seed: 5" in run("show", str(dog)).stdout
    assert f"gesso history restore {cat}" in run("delete", str(cat)).stdout
    assert not (gesso_home / "0.png").exists()
    assert (found("list"), found("list", "--trash")) == ([dog], [cat])
    assert "1 restored" in run("restore", str(cat)).stdout
    assert (gesso_home / "0.png").read_bytes() == b"a red cat"
    run("delete", str(cat), str(dog))
    assert json.loads(run("purge", str(cat), "--json").stdout) == {"purged": 1}
    assert json.loads(run("purge", "--all", "--json").stdout) == {"purged": 1}
    assert "No picture was found." in run("list", "--trash").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "77"], "Unknown picture '77'"),
        (["delete", "1", "77"], "Unknown picture '77'"),
        (["purge", "1"], "not in the trash"),
        (["purge"], "their numbers, or --all"),
        (["search", "--size", "64"], "64' is no size"),
        (["search", "--since", "yesterday"], "no date"),
    ],
)
def test_what_is_wrong_is_one_error(pictures: list[int], arguments: list[str], message: str) -> None:
    assert message in run(*arguments, code=2).stderr
    assert found("list") == [2, 1]
