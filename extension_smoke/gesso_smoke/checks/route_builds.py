"""Routes can be built twice, and are a router with paths."""

from __future__ import annotations

from gesso import Route
from gesso.testing import headless_page
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject

OF = "routes"
NEEDS: Needs = "code"


def check(subject: Subject, item: Route) -> None:
    from fastapi import APIRouter

    for time in ("first", "second"):
        with headless_page(subject.host) as page:
            try:
                router = item.build.load()(page.service)
            except Exception as error:
                broken(f"The {time} time it fails: {type(error).__name__}: {error}")
        require(isinstance(router, APIRouter), f"It returns {type(router).__name__}, not a fastapi.APIRouter.")
        require(router.routes, "Its router has no paths.")
