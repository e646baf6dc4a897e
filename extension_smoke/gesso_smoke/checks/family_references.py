"""What a family names exists: encoders, autoencoder, preview, default sampler and schedule."""

from __future__ import annotations

from gesso import Family
from gesso_smoke.rules import Needs, require
from gesso_smoke.subject import Subject

OF = "families"
NEEDS: Needs = "code"


def check(subject: Subject, item: Family) -> None:
    named = [("text_encoders", use.encoder) for use in item.text] + [("vaes", item.vae)]
    named += [("previews", item.preview)] if item.preview else []
    for default in item.defaults.values():
        named += [("samplers", default.sampler), ("schedulers", default.scheduler)]
    missing = [f"{registry}.{name}" for registry, name in named if name not in subject.host.registry(registry)]
    require(not missing, f"It names {', '.join(dict.fromkeys(missing))}, which no plugin registers.")
    require("" in item.defaults, 'Its defaults lack the entry "" for variants without their own.')
    for variant, default in item.defaults.items():
        fits = default.width % default.multiple_of == 0 == default.height % default.multiple_of
        require(fits, f"The default size of {variant or 'the family'} is no multiple of {default.multiple_of}.")
    require(item.parts, "It has no parts.")
    require(item.streams, "It has no streams.")
