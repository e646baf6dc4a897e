"""What every command shares: which plugins to load, how to print, how to fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from gesso.errors import GessoError
    from gesso.service import Service


@dataclass
class Choice:
    """The root command's options: which plugins take part."""

    safe_mode: bool = False
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    plugins_dir: Path | None = None


CHOICE = Choice()
"""Set by the root callback before any command runs."""


def load_service(*, attach: bool = False) -> Service:
    """Plugins loaded as chosen on the command line; jobs run in this process.

    With `attach` they are given to the gesso that serves this data folder, if one does: one model in memory, not two.
    """
    from gesso.paths import Paths
    from gesso.plugins.host import Host, Selection
    from gesso.service import Service

    paths = Paths.of()
    selection = Selection(
        safe_mode=CHOICE.safe_mode, only=CHOICE.only, without=CHOICE.without, plugins_dir=CHOICE.plugins_dir
    )
    service = Service(Host.load("both", home=paths.home, selection=selection, heavy_allowed=True), paths)
    return attached(service) if attach else service


def attached(service: Service) -> Service:
    """The service with its jobs going to the host that holds the data folder; itself when none does."""
    from gesso.jobs.lock import HostLock

    if HostLock.holder(service.paths.home) is not None:
        from gesso.jobs.attached import AttachedExecutor
        from gesso.store import Store

        service.use(AttachedExecutor(Store.open(service.paths.home, service.core_settings.database_url)))
    return service


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Columns as wide as their content; plain text, so that it can be piped."""
    if not rows:
        print(empty)
        return
    cells = [[str(heading) for heading in headings], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def fail(error: GessoError, *, as_json: bool) -> NoReturn:
    """The error on stderr (and as the JSON document), and its exit code."""
    if as_json:
        print_json({"error": {"type": type(error).__name__, "message": str(error)}})
    print(f"gesso: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code)


def guarded(command: Callable[..., None], as_json: bool, *args: Any, **kwargs: Any) -> None:
    """Run a command's body; what it raises for people ends as one line and an exit code."""
    from gesso.errors import GessoError

    try:
        command(*args, **kwargs)
    except GessoError as error:
        fail(error, as_json=as_json)
    except KeyboardInterrupt:
        print("gesso: stopped.", file=sys.stderr)
        raise SystemExit(130) from None
