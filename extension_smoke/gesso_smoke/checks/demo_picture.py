"""A demo picture is made with the plugin; without it, it is afterwards what it was before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gesso import InvalidInputError
from gesso.testing.hosts import load_host
from gesso_smoke.rules import Needs, NotApplicable, broken, require
from gesso_smoke.subject import Subject, code_problem

OF = "plugin"
NEEDS: Needs = "records"


def check(subject: Subject) -> None:
    from gesso.testing.studio import Studio, demo_model

    with TemporaryDirectory(prefix="gesso-demo-", ignore_cleanup_errors=True) as folder:
        off: Any = subject.host
        if not subject.installed.built_in:
            off = subject._stack.enter_context(
                load_host(["builtin"], without=[subject.id], plugins_dir=subject.plugins_dir)
            )
        if not demo_model(off, Path(folder)):
            raise NotApplicable("The demo model's file is not there.")
        studio = Studio(off, Path(folder))
        before = studio.picture(off)
        for said, asked in requests(subject):
            try:
                made = studio.picture(subject.host, **asked)
            except InvalidInputError as error:
                if "params" in asked:  # switched on it wants more than that: a picture, a mask
                    continue
                broken(f"With {said} no picture is made: {error}")
            except Exception as error:
                broken(f"With {said} no picture is made: {type(error).__name__}: {error}")
            require(made.getextrema() != ((0, 0),) * 3, f"With {said} the picture is black.")
        after = studio.picture(off)
        require(before.tobytes() == after.tobytes(), "The picture made without it has changed after it was used.")


def requests(subject: Subject) -> Iterator[tuple[str, dict[str, Any]]]:
    """What to ask for so that each of its contributions is used: (in words, fields of the request)."""
    yield "it loaded", {}
    for registry, field in (("samplers", "sampler"), ("schedulers", "scheduler"), ("guiders", "guider")):
        for item in subject.records.get(registry, ()):
            if not code_problem(item):
                yield f"the {field} {item.name}", {field: item.name}
    for item in subject.records.get("params", ()):
        switch = item.params.model_fields.get("enabled")
        if switch is not None and switch.annotation is bool:
            yield f"{item.name} switched on", {"params": {item.name: {"enabled": True}}}
