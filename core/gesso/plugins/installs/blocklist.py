"""What must not be installed or loaded: a person's own list, and those of the indexes that were read."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gesso.errors import BadFileError
from gesso.files import write_whole
from gesso.paths import Paths
from gesso.plugins.discovery import Entry

if TYPE_CHECKING:
    from gesso.plugins.installs.index import Block

log = logging.getLogger("gesso.plugins")
OWN = "you"
"""Where the blocks of a person's own stand."""


def read_blocks(paths: Paths) -> dict[str, list[Block]]:
    """Blocks by where they come from. A damaged file raises: what it blocked must not be let in by accident."""
    from pydantic import TypeAdapter, ValidationError

    from gesso.plugins.installs.index import Block

    try:
        data = paths.plugin_blocks.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        return TypeAdapter(dict[str, list[Block]]).validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise BadFileError(f"The block list {paths.plugin_blocks} cannot be read: {where}: {first['msg']}.") from None


def write_blocks(paths: Paths, origin: str, blocks: Iterable[Block]) -> None:
    """Replace the blocks of one origin."""
    known = read_blocks(paths)
    known[origin] = list(blocks)
    if not known[origin]:
        del known[origin]
    if known != read_blocks(paths):
        plain = {name: [block.model_dump() for block in items] for name, items in known.items()}
        write_whole(paths.plugin_blocks, json.dumps(plain, indent=1) + "\n")


def why_blocked(blocks: Mapping[str, Iterable[Block]], name: str, version: str, sha256: str = "") -> str:
    """The reason a distribution is blocked, and by whom; "" for one that is not."""
    for origin, items in blocks.items():
        for block in items:
            if block.matches(name, version, sha256):
                return f"{name} {version} is blocked by {origin}: {block.reason}"
    return ""


def blocked_plugins(paths: Paths, entries: Sequence[Entry]) -> dict[str, str]:
    """Id → reason of the installed plugins that are blocked. One look at a file when nothing is."""
    if not paths.plugin_blocks.exists():
        return {}
    from gesso.plugins.discovery import canonical
    from gesso.plugins.installs.journal import Journal

    try:
        blocks = read_blocks(paths)
    except BadFileError as error:
        log.warning("%s Until it is mended nothing is blocked.", error)
        return {}
    hashes = Journal().wheel_hashes() if any(b.sha256 for items in blocks.values() for b in items) else {}
    reasons = {
        e.id: why_blocked(blocks, e.dist, e.version, hashes.get((canonical(e.dist), e.version), ""))
        for e in entries
        if not e.built_in
    }
    return {id_: reason for id_, reason in reasons.items() if reason}
