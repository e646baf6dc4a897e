"""The index: files named by their hash, from a file or an address; capabilities and blocks that come with it."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from gesso.errors import BadFileError, GessoError
from gesso.plugins.installs.errors import InstallError
from gesso.plugins.installs.index import Block, read_index


def entry(wheel: Path, **more: Any) -> dict[str, Any]:
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return {"name": name.replace("_", "-"), "version": version, "sha256": digest, "url": wheel.name, "api": "1", **more}


@pytest.fixture
def write(tmp_path: Path, wheel: Callable[..., Path]) -> Callable[..., Path]:
    """Writes an index beside its wheels: (name, version, what differs) each; returns its path."""

    def made(*wanted: tuple[str, str, dict[str, Any]], blocked: tuple[dict[str, Any], ...] = ()) -> Path:
        folder = tmp_path / "index"
        folder.mkdir(exist_ok=True)
        entries = []
        for name, version, more in wanted:
            (folder / wheel(name, version).name).write_bytes(wheel(name, version).read_bytes())
            entries.append(entry(wheel(name, version), **more))
        document = {"schema": 1, "name": "Ours", "plugins": entries, "blocked": blocked}
        (folder / "index.json").write_text(json.dumps(document))
        return folder / "index.json"

    return made


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder on this machine; returns its address."""
    servers = []

    def started(folder: Path) -> str:
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


ALONE = {"PIP_FIND_LINKS": ""}
"""pip finds nothing but what the index names."""


def test_from_an_address_with_what_it_needs(shop: Any, write: Callable[..., Path], serve: Callable[[Path], str]):
    path = write(
        ("gesso-says", "1.0", {"capabilities": ["network", "subprocess"]}), ("gesso-up", "1.0", {}),
        ("gesso-up", "2.0", {}), ("tinydep", "1.0", {"api": ""}),
    )  # fmt: skip
    address = f"{serve(path.parent)}/index.json"
    # pip's own folder has a newer tinydep, which the index does not name.
    shown = json.loads(shop.plugins("install", "gesso-up", "--index", address, "--dry-run", "--json").stdout)
    assert [(c["name"], c["new"]) for c in shown["changes"]] == [("gesso-up", "2.0"), ("tinydep", "1.0")]
    told = shop.done("install", "gesso-up==1.0", "gesso-says", "--index", address, "--no-smoke", env=ALONE)
    assert {c["name"]: c["new"] for c in told["changes"]} == {"gesso-up": "1.0", "gesso-says": "1.0", "tinydep": "1.0"}
    assert {plugin["id"]: plugin["capabilities"] for plugin in told["plugins"]} == {
        "gesso-up:up": [], "gesso-says:says": ["network", "subprocess"],
    }  # fmt: skip
    # Updates come from the same index; what it has nothing newer of stays.
    told = shop.done("update", "--index", address, "--no-smoke", env=ALONE)
    assert [(c["name"], c["new"]) for c in told["changes"]] == [("gesso-up", "2.0")]


@pytest.mark.parametrize("by_address", [False, True])
def test_a_file_of_another_hash_is_refused(
    shop: Any, write: Callable[..., Path], serve: Callable[[Path], str], by_address: bool
):
    path = write(("gesso-flip", "1.0", {"sha256": "0" * 64}))
    index = f"{serve(path.parent)}/index.json" if by_address else str(path)
    refused = shop.plugins("install", "gesso-flip", "--index", index, "--yes", env=ALONE)
    assert refused.returncode == 1
    assert "is not the one that was named: its hash differs" in refused.stderr
    assert f"Expected sha256 {'0' * 64}" in refused.stderr
    assert shop.versions() == {}


def test_another_file_of_a_name_the_index_has_is_refused(shop: Any, write: Callable[..., Path]):
    """What pip finds elsewhere does not stand in for what the index names."""
    elsewhere = {"api": "", "sha256": "0" * 64, "url": "tinydep-1.0-cp27-cp27m-win32.whl"}
    path = write(("gesso-up", "2.0", {}), ("tinydep", "1.0", elsewhere))
    refused = shop.plugins("install", "gesso-up", "--index", str(path), "--yes")
    assert refused.returncode == 1
    assert "which is not the file that the index Ours names" in refused.stderr
    assert shop.versions() == {}


def test_capabilities_the_index_does_not_know_are_refused(shop: Any, write: Callable[..., Path]):
    path = write(("gesso-says", "1.0", {"capabilities": ["network"]}))
    refused = shop.plugins("install", "gesso-says", "--index", str(path), "--yes", env=ALONE)
    assert refused.returncode == 1
    assert "declares subprocess, of which its index says nothing" in refused.stderr


def test_the_index_of_the_settings(shop: Any, write: Callable[..., Path]):
    path = write(("gesso-flip", "1.0", {}))
    (shop.home / "settings").mkdir()
    (shop.home / "settings/settings.json").write_text(json.dumps({"plugins": {"index": str(path)}}))
    unknown = shop.plugins("install", "gesso-flop", "--yes")
    assert unknown.returncode == 2
    assert "Unknown plugin of the index Ours 'gesso-flop'. Did you mean 'gesso-flip'" in unknown.stderr
    assert shop.done("install", "gesso-flip", "--no-smoke", env=ALONE)["done"]
    assert shop.plugins("install", "gesso-up", "--index", "none", "--dry-run").returncode == 0


def test_what_an_index_blocks_is_not_installed_and_not_loaded(shop: Any, write: Callable[..., Path], wheel: Any):
    shop.done("install", "gesso-flip==1.0", str(wheel("gesso-says")), "--no-smoke")
    digest = hashlib.sha256(wheel("gesso-says").read_bytes()).hexdigest()
    path = write(
        ("gesso-up", "1.0", {}),
        blocked=(
            {"name": "gesso-flip", "versions": "<2", "reason": "It loses pictures."},
            {"sha256": digest, "reason": "It was exchanged."},
            {"name": "gesso-up", "reason": "It phones home."},
        ),
    )
    refused = shop.plugins("install", "gesso-up", "--index", str(path), "--yes")
    assert refused.returncode == 1
    assert f"gesso-up 1.0 is blocked by {path}: It phones home." in refused.stderr
    states = shop.states()
    assert {name: state["state"] for name, state in states.items()} == {"flip": "disabled", "says": "disabled"}
    assert "It loses pictures." in states["flip"]["hint"]
    assert "It was exchanged." in states["says"]["hint"]
    write()
    shop.plugins("install", "gesso-up", "--index", str(path), "--yes")
    assert {state["state"] for state in shop.states().values()} == {"enabled"}


def test_a_block_of_ones_own(shop: Any):
    shop.run("-m", "pip", "install", "-q", "gesso-flip==1.0")
    assert "New plugins" in shop.plugins("list").stderr
    assert shop.plugins("block", "gesso_flip", "--versions", "<2", "--reason", "I do not like it.").returncode == 0
    state = shop.states()["flip"]
    assert (state["state"], state["hint"]) == ("disabled", "gesso-flip 1.0 is blocked by you: I do not like it.")
    assert shop.plugins("unblock", "gesso-flip").returncode == 0
    assert shop.states()["flip"]["state"] == "enabled"
    assert shop.plugins("block", "x", "--versions", "huh", "--reason", "r").returncode == 2
    assert shop.plugins("unblock", "x").returncode == 2


# --- in this process ------------------------------------------------------------------------------------------------


def index(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "index.json"
    path.write_text(text)
    return read_index(str(path))


GOOD = {"name": "A.b", "version": "1.0", "sha256": "a" * 64, "url": "x.whl"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no JSON"),
        ("[]", "the document"),
        ("{}", "schema"),
        ('{"schema": 2}', "schema"),
        (json.dumps({"schema": 1, "plugins": [{**GOOD, "sha256": "abc"}]}), "plugins.0.sha256"),
        (json.dumps({"schema": 1, "plugins": [{**GOOD, "version": "new"}]}), "'new' is no version"),
        (json.dumps({"schema": 1, "plugins": [{**GOOD, "url": ""}]}), "plugins.0.url"),
        (json.dumps({"schema": 1, "blocked": [{"name": "x", "reason": ""}]}), "blocked.0.reason"),
        (json.dumps({"schema": 1, "blocked": [{"reason": "r"}]}), "a name or a sha256"),
        (json.dumps({"schema": 1, "blocked": [{"name": "x", "versions": "?", "reason": "r"}]}), "no range of versions"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_bad_index_is_one_error(tmp_path: Path, text: str, says: str):
    with pytest.raises(BadFileError, match=says):
        index(tmp_path, text)


def test_what_is_new_in_a_later_index_is_no_error(tmp_path: Path):
    made = index(tmp_path, json.dumps({"schema": 1, "plugins": [{**GOOD, "stars": 5}], "mirrors": []}))
    assert made.entries[0].name == "a-b"
    assert made.address(made.entries[0]) == f"{(tmp_path / 'x.whl').as_uri()}#sha256={'a' * 64}"


def test_the_newest_that_fits_is_chosen(tmp_path: Path):
    versions = [{**GOOD, "version": v, "api": api} for v, api in [("1.9", "1"), ("1.10", "1"), ("2.0", "99")]]
    made = index(tmp_path, json.dumps({"schema": 1, "plugins": versions}))
    assert made.choose(Requirement("a_b")).version == "1.10"
    assert made.choose(Requirement("a.b<1.10")).version == "1.9"
    with pytest.raises(InstallError, match="is for plugin API 99; this gesso has 1"):
        made.choose(Requirement("a-b>=2"))
    with pytest.raises(InstallError, match=r"has no a-b>3, but 1\.9, 1\.10, 2\.0"):
        made.choose(Requirement("a-b>3"))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("http://example.invalid/index.json", "over https"),
        ("ftp://127.0.0.1/index.json", "over https"),
        ("http://127.0.0.1:9/index.json", "cannot be reached"),
        ("/nowhere/index.json", "cannot be read"),
    ],
)
def test_where_an_index_is_not_read_from(source: str, says: str):
    with pytest.raises(GessoError, match=says):
        read_index(source)


def test_an_index_from_an_address_names_no_file_of_this_machine(tmp_path: Path, serve: Callable[[Path], str]):
    document = {"schema": 1, "plugins": [{**GOOD, "url": "file:///etc/x.whl"}]}
    (tmp_path / "index.json").write_text(json.dumps(document))
    made = read_index(f"{serve(tmp_path)}/index.json")
    with pytest.raises(InstallError, match="names a file of this machine"):
        made.address(made.entries[0])


@pytest.mark.parametrize(
    ("block", "name", "version", "sha256", "matches"),
    [
        ({"name": "Gesso.X"}, "gesso_x", "1", "", True),
        ({"name": "gesso-x", "versions": "<2"}, "gesso-x", "2.0", "", False),
        ({"name": "gesso-x", "versions": "<2"}, "gesso-x", "1.9.dev1", "", True),
        ({"sha256": "a" * 64}, "whatever", "1", "a" * 64, True),
        ({"sha256": "a" * 64}, "whatever", "1", "", False),
        ({"name": "gesso-x", "sha256": "a" * 64}, "gesso-x", "1", "b" * 64, False),
    ],
)
def test_what_a_block_matches(block: dict[str, str], name: str, version: str, sha256: str, matches: bool):
    assert Block(reason="r", **block).matches(name, version, sha256) is matches
