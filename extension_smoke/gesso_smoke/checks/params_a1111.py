"""What a record says in A1111's names comes back the same, in the body of a REST call."""

from __future__ import annotations

import json

from gesso import GessoError, Params, fields
from gesso_smoke.rules import Needs, NotApplicable, broken, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import examples

OF = "params"
NEEDS: Needs = "records"


def check(subject: Subject, item: type[Params]) -> None:
    named = [name for name, _, info in fields(item) if info.api]
    if not named and not item.api_names():
        raise NotApplicable("It has no name in A1111's API.")
    for record in examples(item):
        try:
            body = json.loads(json.dumps(record.to_a1111()))
        except (TypeError, ValueError) as error:
            broken(f"{record!r} cannot be sent as JSON: {error}")
        strangers = set(body) - set(item.api_names()) - set(item.shared_names())
        require(not strangers, f"It writes {sorted(strangers)}, which api_names() does not name.")
        try:
            back = item.parse(item.from_a1111({**body, "somebody_elses_field": 1}))
        except GessoError as error:
            broken(f"{body} cannot be read back: {error}")
        lost = [name for name in named if getattr(back, name) != getattr(record, name)]
        require(not lost, f"{', '.join(lost)} of {record!r} is lost on the way through A1111's names ({body}).")
