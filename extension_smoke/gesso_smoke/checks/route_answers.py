"""Every path that can be asked without more is answered without an error of the program's."""

from __future__ import annotations

from gesso import Route
from gesso.testing import headless_page
from gesso_smoke.rules import Needs, NotApplicable, broken, require
from gesso_smoke.subject import Subject

OF = "routes"
NEEDS: Needs = "code"


def check(subject: Subject, item: Route) -> None:
    from fastapi import APIRouter, FastAPI
    from fastapi.routing import APIRoute
    from fastapi.testclient import TestClient

    with headless_page(subject.host) as page:
        try:
            router = item.build.load()(page.service)
        except Exception as error:
            raise NotApplicable(f"It cannot be built: see the check route_builds ({error}).") from None
        if not isinstance(router, APIRouter):
            raise NotApplicable("It returns no router: see the check route_builds.")
        app = FastAPI(docs_url=None, redoc_url=None)
        app.include_router(router)
        routes = [route for route in router.routes if isinstance(route, APIRoute)]
        plain = [route.path for route in routes if "GET" in (route.methods or ()) and "{" not in route.path]
        client = TestClient(app)
        for path in [*plain, "/openapi.json"]:
            try:
                status = client.get(path, follow_redirects=False).status_code
            except Exception as error:
                broken(f"GET {item.prefix}{path} fails: {type(error).__name__}: {error}")
            # 503 is an answer: what it needs is not there (no worker, no model).
            require(status < 500 or status == 503, f"GET {item.prefix}{path} is answered with {status}.")
