"""Every lazy reference names something that is there."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject, references

OF = "plugin"
NEEDS: Needs = "records"


def check(subject: Subject) -> None:
    problems = []
    for registry, items in subject.records.items():
        for item in items:
            for place, reference in references(item):
                try:
                    reference.load()
                except BaseException as error:
                    problems.append(f"{registry}.{item.name}.{place}: {error}")
    require(not problems, "; ".join(problems[:3]))
