"""A small checkpoint of random weights in SD1's layout, services that run jobs on it, and a store on each database.

PostgreSQL: the server named by GESSO_TEST_POSTGRES, else one started here, else those tests are skipped.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from gesso.jobs.queue import JobQueue
from gesso.paths import Paths
from gesso.plugins.host import Host, Selection
from gesso.service import Service
from gesso.store import Store
from gesso.types import Job, JobEvent, ModelRef, Request


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten million random fp16 weights in the single-file layout of Stable Diffusion 1.x."""
    import torch
    from safetensors.torch import save_file

    from tools.shapes.layouts import SD1
    from tools.shapes.ldm_keys import text_to_ldm, unet_to_ldm, vae_to_ldm

    torch.manual_seed(0)
    layout = SD1()
    state = {
        **unet_to_ldm(layout.unet().state_dict()),
        **vae_to_ldm(layout.vae().state_dict()),
        **text_to_ldm(layout.text_encoder().state_dict()),
    }
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    tensors = {k: v.half().contiguous() for k, v in state.items() if not k.endswith("position_ids")}
    save_file(tensors, path, metadata={"modelspec.resolution": "64x64", "modelspec.title": "Tiny"})
    return path


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Built-in plugins, jobs in this process; shared, since the models in memory are."""
    paths = Paths.of(tmp_path_factory.mktemp("service"))
    made = Service(Host.load("both", home=paths.home, selection=Selection(safe_mode=True)), paths)
    yield made
    made.close()


@pytest.fixture
def ask(service: Service, checkpoint: Path) -> Callable[..., Request]:
    """A quick request on the small checkpoint."""

    def make(**fields: Any) -> Request:
        return service.request({"prompt": "a red circle", "model": str(checkpoint), "steps": 2, "seed": 7, **fields})

    return make


@pytest.fixture
def make(service: Service, ask: Callable[..., Request]) -> Callable[..., tuple[list[bytes], list[JobEvent]]]:
    """Run a request; (PNG files, events)."""

    def run(**fields: Any) -> tuple[list[bytes], list[JobEvent]]:
        events: list[JobEvent] = []
        result = service.run(service.job(ask(**fields)), events.append)
        return [service.executor.blobs.get(a.file) for a in result.artifacts], events

    return run


# --- stores on both databases -------------------------------------------------------------------------------------


def _binary(name: str) -> str:
    """A PostgreSQL program; Debian keeps them off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])) or ""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server's maintenance database. Ours listens on a Unix socket alone and is gone afterwards."""
    if given := os.environ.get("GESSO_TEST_POSTGRES"):
        yield given
        return
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'gesso[postgres]'")
    initdb, server = _binary("initdb"), _binary("postgres")
    if not (initdb and server):
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="gesso-pg-", dir="/tmp"))  # a socket's path must be short
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            as_user = {"user": account.pw_uid, "group": account.pw_gid}
        data = str(folder / "data")
        init = [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(init, check=True, capture_output=True, cwd=folder, **as_user)
        options = ["-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"]
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen([server, "-D", data, *options], stdout=log, stderr=log, cwd=folder, **as_user)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
        _wait_until_it_answers(url, process)
        yield url


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url, poolclass=NullPool)
    for _ in range(300):
        with contextlib.suppress(DBAPIError), engine.connect():
            return
        assert process.poll() is None, "the PostgreSQL server ended"
        time.sleep(0.1)
    raise RuntimeError("the PostgreSQL server does not answer")


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of one test."""
    name = f"t_{uuid.uuid4().hex}"
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """What `Store.open` takes, on both databases."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "home", store_url)
    yield opened
    opened.close()


@pytest.fixture
def queue(store: Store) -> JobQueue:
    return JobQueue(store)


@pytest.fixture
def make_job() -> Callable[..., Job]:
    """A job; `model` is a hash, `depends_on` and `parent` are the job's, the rest the request's."""

    def build(*, model: str = "", depends_on: tuple[str, ...] = (), parent: str | None = None, **fields: Any) -> Job:
        request = Request.parse({"prompt": "a red circle", "seed": 1, **fields})
        ref = ModelRef(role="checkpoint", name=model, hash=model) if model else None
        return Job(request=request, model=ref, depends_on=depends_on, parent=parent)

    return build
