"""The distribution says what it is: summary, licence, Python, the need of gesso, a readme."""

from __future__ import annotations

from email.message import Message
from importlib.metadata import metadata
from typing import cast

from gesso_smoke.rules import Needs, NotApplicable, require
from gesso_smoke.subject import Subject

OF = "plugin"
NEEDS: Needs = "import"


def check(subject: Subject) -> None:
    if subject.installed.local:
        raise NotApplicable("A plugin from a folder has no distribution.")
    found = cast(Message, metadata(subject.installed.dist))
    lacking = [field for field, there in fields(found).items() if not there]
    require(not lacking, f"Its metadata lack {', '.join(lacking)} (the table [project] of pyproject.toml).")


def fields(found: Message) -> dict[str, bool]:
    """What is asked for → whether it is there."""
    needs = " ".join(found.get_all("Requires-Dist") or [])
    licence = found.get("License-Expression") or found.get("License")
    classified = any(c.startswith("License ::") for c in found.get_all("Classifier") or [])
    return {
        "a summary (description)": bool(found.get("Summary")),
        "a licence (license)": bool(licence) or classified,
        "a Python version (requires-python)": bool(found.get("Requires-Python")),
        "the need of gesso (dependencies)": found["Name"] == "gesso" or "gesso" in needs,
        "a readme (readme)": bool(str(found.get("Description") or found.get_payload() or "").strip()),
    }
