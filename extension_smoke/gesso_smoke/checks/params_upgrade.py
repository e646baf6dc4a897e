"""Data of every earlier version of a record can still be read.

Stored examples come from the contract class's `old_records`; an empty one is always tried.
"""

from __future__ import annotations

from gesso import Params
from gesso_smoke.rules import Needs, NotApplicable, broken, require
from gesso_smoke.subject import Subject

OF = "params"
NEEDS: Needs = "records"


def check(subject: Subject, item: type[Params]) -> None:
    require(item.version >= 1, f"Its version is {item.version}; versions start at 1.")
    if item.version == 1:
        raise NotApplicable("There is no earlier version.")
    own = any("upgrade" in vars(base) for base in item.__mro__ if base is not Params)
    require(own, f"It is at version {item.version} and has no `upgrade` for data of earlier ones.")
    for old in range(1, item.version):
        for data in ({}, *_stored(subject, item, old)):
            try:
                item.parse(dict(data), version=old)
            except Exception as error:
                broken(f"{data} of version {old} cannot be read: {type(error).__name__}: {error}")


def _stored(subject: Subject, item: type[Params], version: int) -> list[dict[str, object]]:
    """What the plugin's own tests say was stored at that version."""
    names = [label.partition(".")[2] for label, record in subject.items("params") if record is item]
    return [data for name in names for data in subject.old_records.get(name, {}).get(version, [])]
