"""The hook reference is made from the hookspecs; every hook has a caller, a test, and a user now or to come."""

from __future__ import annotations

from gesso.plugins.registries import SPECS
from tools import hook_pages

MOST_WITHOUT_USER = 7
"""May only be lowered."""


def test_the_page_is_what_the_hookspecs_say() -> None:
    text = hook_pages.PAGE.read_text(encoding="utf-8")
    assert text == hook_pages.page(), "stale: run python tools/hook_pages.py"
    for name in SPECS:
        assert f"\n### {name}\n" in text


def test_every_hook_is_tested() -> None:
    assert [name for name, paths in hook_pages.tests().items() if not paths] == []


def test_every_hook_is_called_somewhere() -> None:
    without = {name for name, paths in hook_pages.callers().items() if not paths}
    assert without == set(hook_pages.WITHOUT_CALLER)


def test_every_hook_has_a_user_or_a_feature_that_will_be_one() -> None:
    without = {name for name, paths in hook_pages.implementations().items() if not paths}
    assert without == set(hook_pages.WITHOUT_USER), "take those with a user off the list WITHOUT_USER"
    assert len(without) <= MOST_WITHOUT_USER
    assert all(hook_pages.WITHOUT_USER.values())
