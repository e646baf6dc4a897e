"""People can read what it brings: labels, descriptions, docstrings."""

from __future__ import annotations

import re
import sys

from gesso import fields
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "records"


MACHINE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
"""A label like `my_option` is a name nobody has written for people."""


def check(subject: Subject) -> None:
    lacking = [*_records(subject), *_fields(subject)]
    require(not lacking, f"{'; '.join(lacking[:5])}{' …' if len(lacking) > 5 else ''}.")


def _records(subject: Subject) -> list[str]:
    found = [
        f"{registry}.{item.name} has no label of its own"
        for registry, items in subject.records.items()
        for item in items
        if registry not in ("commands", "checks", "model_folders") and MACHINE.fullmatch(item.label)
    ]
    found += [f"the command {c.name} has no help" for c in subject.records.get("commands", ()) if not c.help]
    module = sys.modules.get(f"{subject.installed.package}.plugin")
    if module is not None and not (module.__doc__ or "").strip():
        found.append(f"{module.__name__} has no docstring")
    return found


def _fields(subject: Subject) -> list[str]:
    found = []
    for where, record in subject.items("params"):
        if not (vars(record).get("__doc__") or "").strip():
            found.append(f"{where}: the record {record.__name__} has no docstring")
        found += [f"{where}: the field {name} has no label" for name, _, info in fields(record) if not info.label]
    return found
