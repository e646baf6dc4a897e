"""What lazy references name can be called as their contracts say."""

from __future__ import annotations

from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject, references, signature_problem

OF = "plugin"
NEEDS: Needs = "records"


def check(subject: Subject) -> None:
    problems = []
    for registry, items in subject.records.items():
        for item in items:
            for place, reference in references(item):
                try:
                    target = reference.load()
                except BaseException:
                    continue  # the check lazy_resolves says so
                if problem := signature_problem(target, reference.contract):
                    problems.append(f"{registry}.{item.name}.{place} ({reference}): {problem}")
    require(not problems, "; ".join(problems[:3]))
