"""`gesso plugins install`, `update`, `rollback`, `uninstall`, `history`, `block`: what changes what is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.cli.app import guarded, print_json, print_table

if TYPE_CHECKING:
    from gesso.plugins.installs.manage import Installer
    from gesso.plugins.installs.proposal import Proposal

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
From = Annotated[str, typer.Option("--index", help="A plugin index: a file or an address; none: pip's own.")]
Builds = Annotated[
    bool, typer.Option("--allow-builds", help="Also take needs that come as source; building runs their code.")
]
Smoke = Annotated[bool, typer.Option("--smoke/--no-smoke", help="Smoke-test what comes in; a bad one is taken out.")]
Names = Annotated[list[str], typer.Argument(help="Plugins or distributions.", metavar="NAME")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `gesso plugins`."""
    for name, command in (
        ("install", install), ("update", update), ("rollback", rollback), ("uninstall", uninstall),
        ("history", history), ("block", block), ("unblock", unblock),
    ):  # fmt: skip
        app.command(name)(command)


def install(
    targets: Annotated[
        list[str],
        typer.Argument(help="Names, wheels, project folders, git+… addresses.", metavar="NAME|WHEEL|PATH|git+URL"),
    ],
    index: From = "",
    yes: Yes = False,
    dry_run: Dry = False,
    smoke: Smoke = True,
    allow_builds: Builds = False,
    as_json: Json = False,
) -> None:
    """Install plugins; what would change gesso's core or break another plugin is refused."""

    def propose(installer: Installer) -> Proposal:
        return installer.propose_install(targets, index=index, builds=allow_builds)

    guarded(_change, as_json, propose, yes=yes, dry_run=dry_run, smoke=smoke, document=as_json)


def update(
    names: Annotated[list[str] | None, typer.Argument(help="Plugins; all without a name.", metavar="NAME")] = None,
    index: From = "",
    yes: Yes = False,
    dry_run: Dry = False,
    smoke: Smoke = True,
    allow_builds: Builds = False,
    as_json: Json = False,
) -> None:
    """Bring plugins to their newest versions that go together."""

    def propose(installer: Installer) -> Proposal:
        return installer.propose_update(names or [], index=index, builds=allow_builds)

    guarded(_change, as_json, propose, yes=yes, dry_run=dry_run, smoke=smoke, document=as_json)


def rollback(
    change: Annotated[int | None, typer.Argument(help="A change's number; the last without one.", metavar="ID")] = None,
    yes: Yes = False,
    dry_run: Dry = False,
    as_json: Json = False,
) -> None:
    """Go back to before a change, and all that came after it. Needs no network."""

    def propose(installer: Installer) -> Proposal:
        return installer.propose_rollback(change)

    guarded(_change, as_json, propose, yes=yes, dry_run=dry_run, smoke=False, document=as_json)


def uninstall(
    names: Names,
    orphans: Annotated[bool, typer.Option("--orphans", help="Also remove what nothing else needs.")] = False,
    data: Annotated[bool, typer.Option("--data", help="Also remove what they have stored, for good.")] = False,
    yes: Yes = False,
    dry_run: Dry = False,
    as_json: Json = False,
) -> None:
    """Remove plugins; says what is left of them."""

    def propose(installer: Installer) -> Proposal:
        return installer.propose_uninstall(names, orphaned=orphans, data=data)

    guarded(_change, as_json, propose, yes=yes, dry_run=dry_run, smoke=False, document=as_json)


def history(as_json: Json = False) -> None:
    """List what was installed, updated and removed, newest last."""
    guarded(_history, as_json, as_json)


def block(
    name: Annotated[str, typer.Argument(help="A distribution.", metavar="NAME")],
    reason: Annotated[str, typer.Option(help="Why; it is shown whenever it matters.")],
    versions: Annotated[str, typer.Option(help="Which versions, such as <2; all without it.")] = "",
) -> None:
    """Do not install or load a distribution, whoever names it."""
    guarded(_block, False, name, versions, reason)


def unblock(name: Annotated[str, typer.Argument(help="A distribution.", metavar="NAME")]) -> None:
    """Take a distribution off the block list of your own."""
    guarded(_unblock, False, name)


# --- the change ---------------------------------------------------------------------------------------------------


def _change(propose: Callable[[Installer], Proposal], *, yes: bool, dry_run: bool, smoke: bool, document: bool) -> None:
    from gesso.errors import InvalidInputError
    from gesso.paths import Paths
    from gesso.plugins.installs.manage import Installer

    installer = Installer(Paths.of(), told=_tell)
    proposal = propose(installer)
    shown = {**proposal.for_people(), "done": False, "id": None}
    if not document:
        _show(proposal)
    if not dry_run and proposal.rows:
        if not yes and not (sys.stdin.isatty() and not document):
            raise InvalidInputError("Nothing was changed: nobody can be asked here.", hint="Give --yes, or --dry-run.")
        if not yes and not typer.confirm("Go on?"):
            print("Nothing was changed.")
            return
        change = installer.apply(proposal, smoke=smoke)
        shown |= {"done": True, "id": change.id}
        if not document:
            _show_done(change.id, proposal)
    if document:
        print_json(shown)


def _tell(line: str) -> None:
    print(f"gesso: {line}", file=sys.stderr, flush=True)


def _show(proposal: Proposal) -> None:
    if proposal.rows:
        rows = [
            (row.kind, row.name, row.old, row.new, _size(row.size), ", ".join(row.needed_by)) for row in proposal.rows
        ]
        print_table(["", "Distribution", "From", "To", "Size", "Needed by"], rows, "")
    for plugin in proposal.plugins:
        uses = ", ".join(plugin.capabilities) or "nothing beyond gesso"
        print(f"{plugin.id} {plugin.version}  declares to use: {uses}  {plugin.summary}".rstrip())
    if proposal.plugins:
        print("A plugin is code that runs as you do. Nothing confines it to what it declares.")
    for note in proposal.notes:
        print(note)
    for folder in proposal.data:
        print(f"Removed for good: {folder}")
    if not proposal.rows and not proposal.notes:
        print("Nothing is to be changed.")


def _show_done(id_: int, proposal: Proposal) -> None:
    from gesso.jobs.lock import HostLock
    from gesso.paths import Paths

    names = ", ".join(f"{row.name} {row.new}".strip() if row.new else f"{row.name} removed" for row in proposal.rows)
    print(f"Done (change {id_}): {names}. Back with: gesso plugins rollback {id_}")
    if HostLock.holder(Paths.of().home) is not None:
        print("A gesso is running: start it anew to use what is installed now.")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


# --- what else there is -------------------------------------------------------------------------------------------


def _history(as_json: bool) -> None:
    from gesso.plugins.installs.journal import Journal, settle

    settle()
    changes: list[dict[str, Any]] = [change.for_people() for change in Journal().history()]
    if as_json:
        print_json(changes)
        return
    rows = [
        (c["id"], c["at"], c["phase"], c["what"],
         ", ".join(f"{x['name']} {x['from'] or '–'} → {x['to'] or '–'}" for x in c["changes"]), c["reason"][:80])
        for c in changes
    ]  # fmt: skip
    print_table(["Id", "When", "State", "What", "Changes", "Reason"], rows, "Nothing was changed yet.")


def _block(name: str, versions: str, reason: str) -> None:
    from pydantic import ValidationError

    from gesso.errors import InvalidInputError
    from gesso.paths import Paths
    from gesso.plugins.installs.blocklist import OWN, read_blocks, write_blocks
    from gesso.plugins.installs.index import Block

    try:
        made = Block(name=name, versions=versions, reason=reason)
    except ValidationError as error:
        raise InvalidInputError(f"This cannot be blocked: {error.errors()[0]['msg']}.") from None
    paths = Paths.of()
    kept = [block for block in read_blocks(paths).get(OWN, []) if block.name != made.name]
    write_blocks(paths, OWN, [*kept, made])
    print(f"{made.name} {made.versions or '(all versions)'} is blocked; installed plugins of it are not loaded.")


def _unblock(name: str) -> None:
    from gesso.errors import UnknownNameError
    from gesso.paths import Paths
    from gesso.plugins.discovery import canonical
    from gesso.plugins.installs.blocklist import OWN, read_blocks, write_blocks

    paths = Paths.of()
    blocks = read_blocks(paths).get(OWN, [])
    if canonical(name) not in {block.name for block in blocks}:
        raise UnknownNameError("block of your own", name, [block.name for block in blocks])
    write_blocks(paths, OWN, [block for block in blocks if block.name != canonical(name)])
    print(f"{canonical(name)} is not blocked by you any more.")
