"""A record survives JSON and has a JSON schema, from which the REST interface is made."""

from __future__ import annotations

import json

from gesso import Params
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import examples

OF = "params"
NEEDS: Needs = "records"


def check(subject: Subject, item: type[Params]) -> None:
    try:
        schema = json.loads(json.dumps(item.model_json_schema()))
    except Exception as error:
        broken(f"It has no JSON schema: {type(error).__name__}: {error}")
    named = set(schema.get("properties", {}))
    require(named == set(item.model_fields), f"Its schema names {sorted(named)}.")
    for record in examples(item):
        back = item.parse(json.loads(json.dumps(record.model_dump(mode="json"))))
        require(back == record, f"{record!r} comes back from JSON as {back!r}.")
