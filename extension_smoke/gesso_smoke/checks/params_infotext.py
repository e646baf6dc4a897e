"""What changes the picture is written into infotext and read back."""

from __future__ import annotations

from gesso import GessoError, Params, fields
from gesso.testing import infotext_round_trip, is_infotext_key
from gesso_smoke.rules import Needs, NotApplicable, broken, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import examples

OF = "params"
NEEDS: Needs = "records"


def check(subject: Subject, item: type[Params]) -> None:
    if item in subject.silent_records:
        raise NotApplicable("Settings and tasks stand in no infotext.")
    require(not item().to_infotext(), f"Its defaults write {sorted(item().to_infotext())}; defaults write nothing.")
    illegal = [key for key in item.infotext_keys() if not is_infotext_key(key)]
    require(not illegal, f"No reader would find the key {', '.join(map(repr, illegal))}.")
    kept = {name for name, _, info in fields(item) if info.changes_picture}
    for record in examples(item):
        pairs = record.to_infotext()
        strangers = set(pairs) - set(item.infotext_keys()) - set(item.shared_names())
        require(not strangers, f"It writes {sorted(strangers)}, which infotext_keys() does not name.")
        try:
            back = item.parse(item.from_infotext(infotext_round_trip(pairs)))
        except GessoError as error:
            broken(f"{record!r} cannot be read back: {error}")
        lost = [name for name in sorted(kept) if getattr(back, name) != getattr(record, name)]
        require(
            not lost,
            f"{', '.join(lost)} of {record!r} is lost on the way through infotext. Give the field an infotext key, or "
            "say changes_picture=False.",
        )
