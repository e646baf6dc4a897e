"""The history: what was made is found again, deleted and brought back, on both databases."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import insert, text

from gesso.errors import BadFileError, InvalidInputError, UnknownNameError
from gesso.jobs.claims import Batch
from gesso.jobs.queue import JobQueue
from gesso.store import Store
from gesso.store.database import Database, database_url
from gesso.store.history import History, PictureQuery
from gesso.store.schema import ArtifactRow, PictureRow
from gesso.store.upgrade import upgrade
from gesso.thumbnails import SIDE, Thumbnails
from gesso.types import Artifact


class Made:
    """Pictures put into a queue's store, as a worker would."""

    def __init__(self, store: Store, queue: JobQueue, make_job: Any, folder: Path) -> None:
        self.store, self.queue, self.make_job, self.folder = store, queue, make_job, folder
        self.history = History(store)

    def picture(self, prompt: str, *, model: str = "m", kind: str = "image", **fields: Any) -> int:
        """A picture with a file for people; its number."""
        job = self.make_job(model=model, **fields)
        self.queue.submit(job)
        claim = self.queue.claim("w")
        assert claim is not None
        content = f"{prompt} {len(self.queue.jobs())}".encode()
        ref = self.store.files.put(content, "image/png")
        infotext = f"{prompt}\nNegative prompt: ugly\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64"
        made: Any = Artifact(kind=kind, file=ref, meta={"infotext": infotext, "seed": 1})
        self.queue.finish(claim, "done", Batch(artifacts=[(0, 0, made)], made=[0]))
        (stored,) = self.queue.artifacts(job.id)
        path = self.folder / f"{stored.id:05}.png"
        path.write_bytes(content)
        self.queue.promise_path(stored.id, str(path))
        self.queue.mark_written(stored.id)
        return stored.id

    def found(self, text: str = "", **query: Any) -> list[int]:
        page = self.history.search(PictureQuery(text=text, **query))
        assert page.total == len(page.pictures)
        return [one.id for one in page.pictures]


@pytest.fixture
def made(store: Store, queue: JobQueue, make_job: Any, tmp_path: Path) -> Made:
    return Made(store, queue, make_job, tmp_path)


def test_words_of_the_prompt_and_filters(made):
    cat = made.picture("A red CAT on the\nsofa, 100% wool", model="a", sampler="euler", width=64, height=128)
    dog = made.picture("a Dog, SOFT_light, straße", model="b", sampler="heun", width=64, height=64)
    grid = made.picture("a dog and a cat", model="b", sampler="heun", width=64, height=64, kind="grid")
    made.picture("not a picture", kind="text")
    assert made.found() == [grid, dog, cat]
    assert made.found("cat RED") == [cat]
    assert made.found('"the sofa"') == [cat]
    assert made.found("cat -sofa") == [grid]
    assert made.found('-"red cat" cat') == [grid]
    assert (made.found("100%"), made.found("0%w"), made.found("soft_l"), made.found("soft-l")) == ([cat], [], [dog], [])
    assert made.found("STRASSE") == [dog]  # case-folded, as people mean it
    assert made.found("ugly") == []  # the negative prompt is no word of the prompt
    assert made.found(models=("b",)) == [grid, dog]
    assert made.found(models=("b", "a"), samplers=("euler",)) == [cat]
    assert made.found("dog", sizes=((64, 64), (1, 1))) == [grid, dog]
    when = made.history.get(dog).created
    assert made.found(since=when) == [grid, dog]
    assert made.found(until=when) == [cat]
    assert made.history.values() == {
        "model": [("b", 2), ("a", 1)], "sampler": [("heun", 2), ("euler", 1)], "size": [((64, 64), 2), ((64, 128), 1)]
    }  # fmt: skip


def test_pages_are_stretches_of_one_order(made):
    numbers = [made.picture(f"number {n}") for n in range(5)]
    page = made.history.search(offset=1, limit=2)
    assert (page.total, [one.id for one in page.pictures]) == (5, numbers[::-1][1:3])
    assert made.history.search(limit=0).total == 5
    assert made.history.search(offset=9).pictures == []
    one = page.pictures[0]
    assert (one.infotext.partition("\n")[0], one.file.type, Path(one.path).is_file()) == ("number 3", "image/png", True)


def test_into_the_trash_and_back(made):
    one, two = made.picture("one"), made.picture("two")
    file, beside = Path(made.history.get(one).path), Path(made.history.get(one).path).with_suffix(".txt")
    beside.write_text("one")
    assert [gone.id for gone in made.history.delete([one, one])] == [one]
    assert not file.exists()
    assert not beside.exists()
    assert (made.found(), made.found(trash=True)) == ([two], [one])
    assert made.history.delete([one]) == []  # it is there already
    file.write_bytes(b"another, under the name that was free")
    (back,) = made.history.restore([one])
    assert (made.found(), made.found(trash=True)) == ([two, one], [])
    assert Path(back.path) == file.with_stem(f"{file.stem}-1")
    assert Path(back.path).read_bytes().startswith(b"one")
    assert Path(back.path).with_suffix(".txt").read_text() == "one"
    assert file.read_bytes().startswith(b"another")
    # The name is another file's now: that one is not touched.
    Path(back.path).write_bytes(b"somebody's work")
    made.history.delete([one])
    assert Path(back.path).read_bytes() == b"somebody's work"


def test_deleting_for_good(made):
    one, two, three = (made.picture(name) for name in ("one", "two", "three"))
    ref = made.history.get(one).file
    with pytest.raises(InvalidInputError, match=f"{one} is not in the trash"):
        made.history.purge([one])
    made.history.delete([one, two])
    assert made.history.purge(before=made.history.get(one).trashed) == 0
    assert made.history.purge([one]) == 1
    assert (made.found(), made.found(trash=True)) == ([three], [two])
    with made.store.database.engine.connect() as connection:
        refs = connection.execute(text("SELECT refs FROM files WHERE sha256 = :s"), {"s": ref.sha256}).scalar()
    assert refs == 0  # collected with the next repair
    assert made.history.purge() == 1
    assert list(made.history.folder.iterdir()) == []
    with pytest.raises(UnknownNameError, match=str(two)):
        made.history.get(two)


def test_all_or_none(made, monkeypatch):
    one, two = made.picture("one"), made.picture("two")
    with pytest.raises(UnknownNameError):
        made.history.delete([one, 999])

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.history, "_mark", refuse)
    with pytest.raises(Exception, match="No space left"):
        made.history.delete([one, two])
    assert made.found() == [two, one]
    assert all(Path(made.history.get(number).path).is_file() for number in (one, two))


def test_a_deleted_job_leaves_the_history(made):
    made.picture("one")
    made.queue.delete(made.history.search().pictures[0].job)
    assert made.found() == []


def test_pictures_of_an_older_database_are_entered(made, store_url):
    number = made.picture("an OLD picture", model="a", sampler="heun", width=64, height=32)
    before = made.history.get(number)
    with made.store.database.engine.begin() as connection:  # as the first schema left it
        connection.execute(text("DROP TABLE pictures"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    database = Database(database_url(store_url, made.store.home / "gesso.sqlite3"))
    assert upgrade(database)
    database.close()
    assert made.history.get(number) == before
    assert made.found("old") == [number]


def test_ten_thousand_are_searched_by_index(store, queue, make_job):
    """No wall time: the plans say that nothing is sorted and only an index is read for a page."""
    job = make_job()
    queue.submit(job)
    ref = store.files.put(b"x", "image/png")
    rows = range(1, 10_001)

    def fill(session: Any) -> None:
        store.files.refer(session, [ref])
        artifact = {"job": job.id, "part": 0, "kind": "image", "sha256": ref.sha256, "type": "image/png", "meta": {},
                    "token": 1, "path": "", "written": True}  # fmt: skip
        session.execute(insert(ArtifactRow), [{**artifact, "id": n, "index": n, "created": float(n)} for n in rows])
        picture = {"sampler": "euler", "width": 64, "height": 64}
        session.execute(
            insert(PictureRow),
            [{**picture, "artifact": n, "prompt": f"a cat number {n}", "model": f"m{n % 7}", "created": float(n)}
             for n in rows],
        )  # fmt: skip

    store.database.write(fill)
    history = History(store)
    page = history.search(offset=9_990, limit=100)
    assert (page.total, [one.id for one in page.pictures]) == (10_000, list(range(10, 0, -1)))
    assert history.search(PictureQuery(text="number 777", models=("m0",))).pictures[-1].id == 777
    if store.database.is_sqlite:
        query = (
            "SELECT * FROM pictures WHERE trashed IS NULL ORDER BY created DESC, artifact DESC LIMIT 100 OFFSET 5000"
        )
        with store.database.engine.connect() as connection:
            plan = " ".join(str(row) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}")))
        assert "USING INDEX ix_pictures_trashed_created_artifact" in plan
        assert "TEMP B-TREE" not in plan


def test_thumbnails_are_made_once(tmp_path):
    picture = tmp_path / "big.png"
    Image.new("RGB", (800, 400), "red").save(picture)
    thumbnails = Thumbnails(tmp_path / "cache")
    small = thumbnails.of(picture)
    with Image.open(io.BytesIO(small.read_bytes())) as image:
        assert (image.format, image.size) == ("WEBP", (SIDE, SIDE // 2))
    small.write_bytes(b"kept")
    assert thumbnails.of(picture).read_bytes() == b"kept"
    Image.new("RGB", (40, 90), "blue").save(picture)
    assert thumbnails.of(picture) != small
    for wrong in (tmp_path / "none.png", tmp_path / "cache"):
        with pytest.raises(BadFileError):
            thumbnails.of(wrong)
