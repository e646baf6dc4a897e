"""The host as people meet it: models mounted while it runs, hashes in the background, files with a grid."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from gesso.errors import BadFileError
from gesso.jobs.claims import Batch
from gesso.jobs.worker_link import HostBlobs
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso.serving import HostService
from gesso.types import Artifact


def test_a_job_that_goes_on_knows_what_was_made(queue, make_job):
    job = queue.submit(make_job(count=3))
    claim = queue.claim("w")
    assert claim.job.made == ()
    made = Artifact(kind="image", file=queue.store.files.put(b"x", "image/png"), meta={"seed": 1})
    queue.record(claim, Batch(artifacts=[(0, 0, made)], made=[0]))
    queue.crashed(claim, "the worker died")
    again = queue.claim("w")
    assert (again.job.id, again.job.done, again.job.made) == (job, (0,), (made,))
    assert "made" not in queue.get(job).document


def test_a_file_that_is_still_on_its_way_to_the_host_is_waited_for():
    asked = []

    def ask(what, ref):
        asked.append(ref["sha256"])
        if len(asked) < 3:
            raise BadFileError("No file with that hash is here.")
        return SimpleNamespace(raw=b"picture")

    blobs = HostBlobs(SimpleNamespace(send=lambda *args: None, ask=ask))
    ref = blobs.put(b"picture", "image/png")
    assert blobs.get(ref) == b"picture"
    assert len(asked) == 3
    asked.clear()
    with pytest.raises(BadFileError):
        blobs.get(ref.model_copy(update={"sha256": "0" * 64}))
    assert len(asked) == 1, "what nobody sent is not waited for"


def test_mounts_hashes_and_a_grid_while_it_runs(checkpoint: Path, tmp_path: Path):
    mounted = tmp_path / "ui" / "models" / "Stable-diffusion"
    mounted.mkdir(parents=True)
    (mounted / "mine.safetensors").write_bytes(checkpoint.read_bytes())
    home = tmp_path / "home"
    with Host.load("host", home=home) as host, HostService(host, Paths.of(home)) as service:
        Service(host, Paths.of(home)).mounts.add(str(tmp_path / "ui"))  # as another process does
        service.hashing.wake()
        end = time.monotonic() + 120
        while not service.library.find("mine").hash and time.monotonic() < end:
            time.sleep(0.1)
        assert len(service.library.find("mine").hash) == 64
        asked = {"prompt": "a fox", "model": "mine", "steps": 1, "count": 2, "seed": 3, "width": 64, "height": 64}
        job = service.submit({**asked, "params": {"grid": {"enabled": True}}}).job.id
        assert service.queue.wait(job, 300).state == "done"
        while service.queue.unwritten() and time.monotonic() < end + 300:
            time.sleep(0.1)
        names = [Path(stored.path).name for stored in service.queue.artifacts(job)]
        assert names == ["00000-3.png", "00001-4.png", "00002-grid-3.png"]
        assert all(Path(stored.path).is_file() for stored in service.queue.artifacts(job))
