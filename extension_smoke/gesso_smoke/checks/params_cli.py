"""Every field can be given as text, as `--set` does."""

from __future__ import annotations

import json

from gesso import GessoError, Params
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import examples, plain

OF = "params"
NEEDS: Needs = "records"


def check(subject: Subject, item: type[Params]) -> None:
    for record in examples(item):
        data = plain(record)
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}
        try:
            back = item.parse_text(texts)
        except GessoError as error:
            broken(f"{texts} is refused: {error}")
        require(back == record, f"{texts} is read as {back!r}.")
