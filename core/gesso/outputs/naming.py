"""From a pattern to a name: `[seed]-[prompt_words]` as A1111 reads it, with tokens from a registry.

A token is `[name]` or `[name<argument><argument>]`, in any case. One that is unknown, or cannot make sense of its
arguments, stays in the text as it is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from gesso.metadata.infotext import Infotext, parse_infotext
from gesso.outputs.safe import safe_name, safe_part
from gesso.outputs.settings import OutputSettings
from gesso.types import Artifact, Job, Request

if TYPE_CHECKING:
    from gesso.outputs.types import FilenameTokenFn
    from gesso.plugins.host import Host

_TOKEN = re.compile(r"\[([^\[\]]*)\]")
_ARGUMENTS = re.compile(r"<([^<>]*)>")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedOutput:
    """What a file-name token may look at: one output and the job that made it."""

    job: Job
    artifact: Artifact
    index: int = 0
    """Which picture of the job, from 0."""
    created: float = 0.0
    """When, in seconds since 1970."""
    settings: OutputSettings = field(default_factory=OutputSettings)
    read: Callable[[], bytes] = lambda: b""
    """The file's bytes; costs a read."""

    @property
    def request(self) -> Request:
        return self.job.request

    @property
    def total(self) -> int:
        """How many pictures the job makes."""
        return self.request.batch_size * self.request.count

    @property
    def is_grid(self) -> bool:
        """A picture of all the job's pictures: it has no number among them."""
        return self.artifact.kind == "grid"

    @property
    def time(self) -> datetime:
        """`created`, in local time."""
        return datetime.fromtimestamp(self.created).astimezone()

    @cached_property
    def infotext(self) -> Infotext:
        """Prompts and parameters as they stand in the picture."""
        return parse_infotext(str(self.artifact.meta.get("infotext", "")))


Tokens = Mapping[str, "FilenameTokenFn"]


def expand(pattern: str, output: NamedOutput, tokens: Tokens) -> str:
    """The pattern with its tokens replaced; `tokens` are functions by lower-case name.

    A token that answers None is left out together with the text in front of it (as far as the token before). One that
    is unknown or raises stays as written: a name is found for every picture.
    """
    made, end = [], 0
    for match in _TOKEN.finditer(pattern):
        text = pattern[end : match.start()]
        end = match.end()
        name, _, rest = match[1].partition("<")
        function = tokens.get(name.strip().lower())
        value: str | None = match.group()
        if function is not None:
            try:
                value = function(output, tuple(_ARGUMENTS.findall(f"<{rest}")))
                value = None if value is None else safe_part(value)
            except Exception as error:
                log.warning("The file-name token %s failed: %r", match.group(), error)
        if value is not None:
            made.append(text + value)
    return "".join(made) + pattern[end:]


def tokens_of(host: Host) -> Tokens:
    """All registered tokens by lower-case name."""
    registry = host.registry("filename_tokens")
    return {key.casefold(): item.run.load() for item in registry for key in (item.name, *item.aliases)}


def folder_and_name(output: NamedOutput, tokens: Tokens) -> tuple[tuple[str, ...], str]:
    """Folders and name (no number, no suffix; may be empty) by the patterns of the output's settings.

    Patterns hold the slashes that make folders; what a token brings has none, so nothing leads out of the folder they
    are put below.
    """
    folder, names = (
        tuple(safe_name(part) for part in re.split(r"[/\\]", expand(pattern, output, tokens)) if part.strip(" ."))
        for pattern in (output.settings.folder, output.settings.name)
    )
    name = names[-1] if names else ""
    if output.is_grid:
        name = safe_name(f"grid-{name}".rstrip("-"))
    return (*folder, *names[:-1]), name
