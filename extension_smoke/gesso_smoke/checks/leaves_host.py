"""Disabled, enabled, unregistered: the host is as it was before."""

from __future__ import annotations

from gesso.testing import contents, load_host, unregister
from gesso.testing.hosts import hook_table
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "records"


def check(subject: Subject) -> None:
    others, without = ["builtin"], [subject.id]
    before = subject.bare
    with load_host([*others, subject.id], plugins_dir=subject.plugins_dir) as host:
        first = contents(host)
        unregister(host, subject.id)
        left = before.differences(contents(host), states=False)
        require(not left, f"After it was unregistered these differ from before: {', '.join(left[:5])}.")
        hooks = [hook for hook, plugins in hook_table(host).items() if subject.id in plugins]
        require(not hooks, f"It is still called for {', '.join(hooks)}.")
    with load_host(others, without=without, plugins_dir=subject.plugins_dir) as host:
        left = before.differences(contents(host))
        require(not left, f"After it was disabled these differ from before: {', '.join(left[:5])}.")
    with load_host([*others, subject.id], plugins_dir=subject.plugins_dir) as host:
        changed = first.differences(contents(host))
        require(not changed, f"Enabled again these differ from the first time: {', '.join(changed[:5])}.")
