"""Plugins' routes: answered below their prefix, each inside its own boundary, beside a page that goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from gesso import Route, RouteFn, lazy
from gesso.errors import InvalidInputError
from gesso.plugins.host import Host, Selection
from gesso.testing import headless_page
from gesso_ui.guard import Guard
from gesso_ui.routes import mount_routes

SOCKET = "ws://127.0.0.1:7860/plugins/good/socket"
GOOD = """
from gesso import Route, RouteFn, hookimpl, lazy
api = "1"
BUILT = []

@hookimpl
def gesso_register_routes(registry):
    registry.add(Route(name="good", label="Good", build=lazy("good_routes:build", RouteFn)))
    registry.add(Route(name="deep", prefix="/plugins/good/deep", build=lazy("good_routes:deep", RouteFn)))

def build(service):
    from fastapi import APIRouter, HTTPException, WebSocket
    BUILT.append(service)
    router = APIRouter()

    @router.get("/plugins")
    def plugins() -> dict[str, int]:
        return {"count": len(service.host.states)}

    @router.post("/echo")
    def echo(data: dict[str, int]) -> dict[str, int]:
        return data

    @router.get("/raises")
    async def raises() -> None:
        raise ZeroDivisionError("<b>one by none</b>")

    @router.get("/exits")
    def exits() -> None:
        raise SystemExit(3)

    @router.get("/refuses")
    def refuses() -> None:
        raise HTTPException(404, "not here")

    @router.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        raise RuntimeError("cut")

    return router

def deep(service):
    from fastapi import APIRouter
    router = APIRouter()
    router.get("/")(lambda: "deep")
    return router
"""
BAD = """
from gesso import Route, RouteFn, hookimpl, lazy
api = "1"

@hookimpl
def gesso_register_routes(registry):
    registry.add(Route(name="bad", build=lazy("bad_routes:build", RouteFn)))
    registry.add(Route(name="odd", build=lazy("bad_routes:odd", RouteFn)))

def build(service):
    raise RuntimeError("no routes today")

def odd(service):
    return "a router"
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    from fastapi import FastAPI

    folder: Path = tmp_path_factory.mktemp("routes")
    (folder / "good_routes.py").write_text(GOOD)
    (folder / "bad_routes.py").write_text(BAD)
    with (
        Host.load("both", home=folder, selection=Selection(plugins_dir=folder)) as host,
        headless_page(host) as page,
    ):
        app = FastAPI(openapi_url=None)
        mount_routes(app, page.service)
        app.get("/")(lambda: "the page")
        app.add_middleware(Guard)
        with TestClient(app, base_url="http://127.0.0.1:7860", raise_server_exceptions=False) as made:
            yield made


def test_nothing_is_built_before_it_is_asked_for_and_then_once(client: TestClient) -> None:
    assert sys.modules["good_routes"].BUILT == []
    assert client.get("/plugins/good/plugins").json()["count"] > 2
    assert client.get("/plugins/good/plugins").status_code == 200
    assert len(sys.modules["good_routes"].BUILT) == 1
    assert client.get("/plugins/good/openapi.json").json()["info"]["title"] == "Good"


def test_the_longer_prefix_is_asked_first(client: TestClient) -> None:
    assert client.get("/plugins/good/deep/").json() == "deep"


@pytest.mark.parametrize(("path", "said"), [("raises", "ZeroDivisionError"), ("exits", "SystemExit")])
def test_a_handler_that_fails_answers_500_and_names_its_plugin(client: TestClient, path: str, said: str) -> None:
    answer = client.get(f"/plugins/good/{path}")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert (error["type"], error["plugin"].partition(" ")[0]) == (said, "local:good_routes")
    assert "gesso plugins disable" in error["hint"]
    assert client.get("/").json() == "the page"


@pytest.mark.parametrize(("name", "said"), [("bad", "no routes today"), ("odd", "not a fastapi.APIRouter")])
def test_a_router_that_cannot_be_built_breaks_nothing_else(client: TestClient, name: str, said: str) -> None:
    for _ in range(2):
        answer = client.get(f"/plugins/{name}/anything")
        assert answer.status_code == 500
        assert said in answer.json()["error"]["message"]
    assert client.get("/").json() == "the page"
    assert client.get("/plugins/good/plugins").status_code == 200


def test_its_own_refusals_stay_its_own(client: TestClient) -> None:
    assert (client.get("/plugins/good/refuses").status_code, client.get("/plugins/good/none").status_code) == (404, 404)
    assert client.post("/plugins/good/echo", json={"a": "no number"}).status_code == 422


def test_a_socket_that_fails_is_closed(client: TestClient) -> None:
    with client.websocket_connect(SOCKET) as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert closed.value.code == 1011


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
def test_no_page_from_elsewhere_may_change_anything(client: TestClient, origin: str) -> None:
    headers = {"origin": origin}
    assert client.post("/plugins/good/echo", json={"a": 1}, headers=headers).status_code == 421
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers=headers):
        pass
    own = {"origin": "http://127.0.0.1:7860"}
    assert client.post("/plugins/good/echo", json={"a": 1}, headers=own).json() == {"a": 1}
    assert client.post("/plugins/good/echo", json={"a": 1}).json() == {"a": 1}


@pytest.mark.parametrize("prefix", ["/", "plugins/x", "/gesso/x", "/gradio_api", "/config", "/a//b", "/a/", "/..."])
def test_prefixes_that_are_none_or_the_pages(prefix: str) -> None:
    with pytest.raises(InvalidInputError, match="prefix"):
        Route(name="x", prefix=prefix, build=lazy("x:build", RouteFn))


def test_a_prefix_has_one_owner() -> None:
    from gesso.testing import local_plugins

    text = BAD.replace('name="bad"', 'name="{0}", prefix="/sdapi"').replace("bad_routes", "prefix_{0}")
    with local_plugins({"prefix_one": text.replace("{0}", "one"), "prefix_two": text.replace("{0}", "two")}) as host:
        assert host.state("prefix_one").state == "enabled"
        assert "'/sdapi', which local:prefix_one already owns" in host.state("prefix_two").error
