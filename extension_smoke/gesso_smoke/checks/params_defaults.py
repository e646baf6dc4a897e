"""A record's defaults are values it accepts, and nonsense ends in one clear error."""

from __future__ import annotations

from gesso import GessoError, Params
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject
from gesso_smoke.values import plain

OF = "params"
NEEDS: Needs = "records"


def check(subject: Subject, item: type[Params]) -> None:
    data = plain(item())
    try:
        again = item.parse(data)
    except GessoError as error:
        broken(f"Its defaults are refused: {error}")
    require(again == item(), "Its defaults change when they are read back.")
    for name in item.model_fields:
        try:
            item.parse({name: object()})
        except GessoError:
            continue
        except Exception as error:
            broken(f"The field {name} answers nonsense with {type(error).__name__} instead of a readable error.")
        broken(f"The field {name} takes anything.")
