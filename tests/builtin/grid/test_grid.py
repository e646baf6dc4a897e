"""Grids: arranged as A1111 does, after the pictures, and never in their way."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gesso.engine.control import Control
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Result, Service
from gesso.types import JobEvent
from gesso_builtin.grid.options import GridParams
from gesso_builtin.grid.stages import arrange, rows_for


@pytest.mark.parametrize(
    ("count", "rows"), [(2, 1), (3, 2), (4, 2), (5, 2), (6, 2), (7, 3), (8, 3), (9, 3), (12, 3), (13, 4), (100, 10)]
)
def test_rows_are_the_rounded_root(count: int, rows: int) -> None:
    assert rows_for(count, GridParams()) == rows


@pytest.mark.parametrize(("count", "rows"), [(4, 2), (5, 1), (6, 2), (7, 1), (8, 2), (12, 3), (16, 4)])
def test_without_gaps_every_place_is_taken(count: int, rows: int) -> None:
    assert rows_for(count, GridParams(no_gaps=True)) == rows


def test_rows_that_were_asked_for() -> None:
    assert rows_for(5, GridParams(rows=3)) == 3
    assert rows_for(2, GridParams(rows=3)) == 2


def test_pictures_stand_row_by_row_in_the_middle_of_their_places() -> None:
    colours = ["red", "green", "blue"]
    pictures = [Image.new("RGB", (8, 8) if c != "green" else (4, 6), c) for c in colours]
    made = arrange(pictures, 2)
    assert made.size == (16, 16)
    seen = [made.getpixel(place) for place in ((0, 0), (12, 4), (4, 12), (12, 12), (8, 0), (10, 1))]
    assert seen == [(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (255, 255, 255), (0, 128, 0)]


# --- in jobs ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    paths = Paths.of(tmp_path_factory.mktemp("home"))
    made = Service(Host.load("both", home=paths.home), paths)
    yield made
    made.close()


Run = Callable[..., tuple[Result, list[JobEvent]]]


@pytest.fixture
def run(service: Service) -> Run:
    def ran(grid: dict[str, Any] | None = None, control: Control | None = None, **fields: Any) -> Any:
        asked = {"prompt": "a red circle on a blue background", "steps": 2, "seed": 7, "width": 64, "height": 64}
        events: list[JobEvent] = []
        job = service.job(service.request({**asked, **fields, "params": {"grid": grid} if grid else {}}))
        return service.run(job, events.append, control), events

    return ran


def test_a_grid_shows_the_jobs_pictures(service: Service, run: Run, tmp_path: Path) -> None:
    result, events = run({"enabled": True}, batch_size=2, count=2)
    *pictures, grid = result.artifacts
    assert [a.kind for a in result.artifacts] == ["image"] * 4 + ["grid"]
    image = Image.open(io.BytesIO(service.executor.blobs.get(grid.file)))
    assert image.size == (128, 128)
    for number, artifact in enumerate(pictures):
        part = image.crop((64 * (number % 2), 64 * (number // 2), 64 * (number % 2) + 64, 64 * (number // 2) + 64))
        assert part.tobytes() == Image.open(io.BytesIO(service.executor.blobs.get(artifact.file))).tobytes()
    assert service.read_picture(service.executor.blobs.get(grid.file)).infotext == pictures[0].meta["infotext"]
    told = [e for e in events if e.kind == "artifact"]
    finished = [e for e in events if "finished" in e.data]
    assert told[-1].data["index"] == 4
    assert told[-2].seq < finished[-2].seq < told[-1].seq < finished[-1].seq, "pictures are closed before it begins"
    names = [path.name for path in service.save(result, tmp_path).files]
    assert names == [f"0000{n}-{7 + n}.png" for n in range(4)] + ["00004-grid-7.png"]


def test_none_is_made_unless_asked_for_nor_of_one_picture(run: Run) -> None:
    assert [a.kind for a in run(batch_size=2)[0].artifacts] == ["image", "image"]
    assert [a.kind for a in run({"enabled": True})[0].artifacts] == ["image"]


def test_it_changes_no_picture(run: Run) -> None:
    without, with_grid = run(batch_size=2)[0].artifacts, run({"enabled": True}, batch_size=2)[0].artifacts
    assert [a.file for a in without] == [a.file for a in with_grid[:2]]


def test_one_that_is_too_large_costs_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesso_builtin.grid.stages.MAX_PIXELS", 8000)
    result, events = run({"enabled": True}, batch_size=2)
    assert [a.kind for a in result.artifacts] == ["image", "image"]
    assert [e.data["message"] for e in events if e.kind == "warning"] == [
        "A grid of 2 pictures would have 128 × 64 pixels, more than 8,000: it is left out."
    ]
    assert events[-1].data["state"] == "done"


def test_pictures_of_an_earlier_attempt_are_in_it(service: Service, run: Run) -> None:
    whole, _ = run({"enabled": True}, count=3)
    resumed = whole.job.model_copy(update={"id": "0" * 32, "done": (0, 1), "made": tuple(whole.artifacts[:2])})
    again = service.run(resumed)
    assert [a.file for a in again.artifacts] == [a.file for a in whole.artifacts[2:]]
    over = resumed.model_copy(update={"done": (0, 1, 2, 3), "made": tuple(whole.artifacts)})
    assert service.run(over).artifacts == []


def test_an_interrupted_job_has_one_of_what_is_there(service: Service, run: Run) -> None:
    control = Control()
    events: list[JobEvent] = []

    def listen(event: JobEvent) -> None:
        events.append(event)
        if event.data.get("finished") == [1]:
            control.interrupt()

    asked = {"prompt": "a red circle", "steps": 2, "seed": 7, "width": 64, "height": 64, "count": 4}
    job = service.job(service.request({**asked, "params": {"grid": {"enabled": True}}}))
    result = service.run(job, listen, control)
    assert [a.kind for a in result.artifacts] == ["image", "image", "grid"]
    assert result.artifacts[-1].meta["pictures"] == 2
    assert [e.data["done"] for e in events if "finished" in e.data] == [1, 2, 2]
