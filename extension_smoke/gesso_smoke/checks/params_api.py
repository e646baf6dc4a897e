"""Names of A1111's API are plain and each stands for one field.

Another plugin's claim on a name is an error at registration; see the check no_clashes.
"""

from __future__ import annotations

from gesso import Params
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "params"
NEEDS: Needs = "records"


def check(subject: Subject, item: type[Params]) -> None:
    names = item.api_names()
    odd = [name for name in names if not name.isidentifier()]
    require(not odd, f"{', '.join(map(repr, odd))} cannot be the name of a JSON field.")
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"{', '.join(twice)} stands for two fields.")
