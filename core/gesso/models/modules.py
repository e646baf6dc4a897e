"""Text encoders and VAEs in files of their own: which a checkpoint lacks, and which files have them. Torch-free.

Only families that say when such a part fits (`Family.fits`) take parts from other files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gesso.errors import BadFileError, GessoError, InvalidInputError
from gesso.families import Family, Part
from gesso.models.detect import Hooks, describe, detect
from gesso.types import Header, Match, ModelRef

if TYPE_CHECKING:
    from gesso.models.library import Entry, Library

VAE = "vae"


def role_of(part: str, hooks: Hooks) -> str:
    """The role of the files that hold this part: "text_encoder" for any text encoder, else the part's own name."""
    return "text_encoder" if part in hooks.registry("text_encoders") else part


def lacking(header: Header, match: Match, hooks: Hooks) -> list[str]:
    """The text encoders a family needs, and "vae", that a checkpoint of it does not hold."""
    family: Family | None = next((f for f in hooks.registry("families") if f.name == match.family), None)
    if family is None or family.fits is None:
        return []
    parts = _parts(family, match.variant, hooks)
    return [name for name, part in parts.items() if not _config(name, part, header, match)]


def find_modules(entry: Entry, given: Mapping[str, ModelRef], library: Library, hooks: Hooks) -> dict[str, Entry]:
    """Part → the file it comes from: what somebody chose, and for what is lacking the largest file that fits.

    `given` are a job's components. A chosen VAE counts only where the checkpoint has none; elsewhere it is exchanged
    after loading. InvalidInputError: nothing fits. BadFileError: what was chosen does not.
    """
    if not entry.family:
        return {}
    family: Family = hooks.registry("families").get(entry.family)
    chosen = [name for name in given if name != VAE and name in _parts(family, entry.variant, hooks)]
    wanted = list(dict.fromkeys([*entry.lacks, *chosen]))
    if not wanted or family.fits is None:
        return {}
    search = _Search(entry, family, library, hooks)
    found = {name: search.chosen(name, given[name]) if name in given else search.largest(name) for name in wanted}
    missing = [name for name, module in found.items() if module is None]
    if missing:
        raise _nothing_fits(entry, missing, hooks)
    return {name: module for name, module in found.items() if module is not None}


def _parts(family: Family, variant: str, hooks: Hooks) -> dict[str, Part]:
    encoders = hooks.registry("text_encoders")
    used = [use.encoder for use in family.text if use.required and variant not in use.unless]
    return {**{name: encoders.get(name).part for name in used}, VAE: hooks.registry("vaes").get(family.vae).part}


def _config(name: str, part: Part, header: Header, match: Match) -> dict[str, Any]:
    try:
        return part.config.load()(header, match)
    except GessoError:
        raise
    except Exception as error:
        raise BadFileError(
            f"The {name} has names or shapes that cannot be ({type(error).__name__}: {error})."
        ) from error


class _Search:
    """Looks for parts that go with one checkpoint."""

    def __init__(self, entry: Entry, family: Family, library: Library, hooks: Hooks) -> None:
        self.header = library.header(entry.path)
        self.match = detect(self.header, hooks, str(entry.path))
        self.family, self.library, self.hooks = family, library, hooks
        self.parts = _parts(family, entry.variant, hooks)

    def chosen(self, name: str, ref: ModelRef) -> Entry:
        entry = self.library.find(ref)
        self._check(name, entry)
        return entry

    def largest(self, name: str) -> Entry | None:
        """Of one encoder in several formats the largest says most."""
        entries = self.library.entries(role_of(name, self.hooks))
        return max((e for e in entries if self._fits(name, e)), key=lambda e: e.size, default=None)

    def _fits(self, name: str, entry: Entry) -> bool:
        try:
            self._check(name, entry)
        except GessoError:
            return False
        return entry.state == "ok"

    def _check(self, name: str, entry: Entry) -> None:
        """BadFileError: the file holds no such part, or one that does not go with the checkpoint."""
        header, label = self.library.header(entry.path), _label(name, self.hooks)
        config = _config(name, self.parts[name], header, self.match)
        if not config:
            raise BadFileError(f"{entry.path} is {describe(header)}, no {label} for {self.family.label}.")
        assert self.family.fits is not None
        if not self.family.fits.load()(self.header, name, config):
            raise BadFileError(
                f"The {label} in {entry.path} has another size than this model was made for.",
                hint="Choose another file, or leave the choice to gesso.",
            )


def _label(name: str, hooks: Hooks) -> str:
    encoders = hooks.registry("text_encoders")
    return str(encoders.get(name).label) if name in encoders else "VAE"


def _nothing_fits(entry: Entry, missing: list[str], hooks: Hooks) -> InvalidInputError:
    labels = ", ".join(_label(name, hooks) for name in missing)
    folders = " and ".join(sorted({VAE if name == VAE else "text_encoders" for name in missing}))
    return InvalidInputError(
        f"{entry.name} holds no {labels}, and no file here has what fits it.",
        hint=f"Put the files into the folder {folders} of the models folder, or use a complete checkpoint.",
    )
