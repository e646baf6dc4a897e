"""Installing, updating, rolling back and removing: first a proposal to look at, then the change."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gesso.errors import InvalidInputError, UnknownNameError
from gesso.paths import Paths
from gesso.plugins.cache import read_cache, read_disabled
from gesso.plugins.discovery import BUILT_IN, LOCAL, canonical, discover
from gesso.plugins.installs import trial
from gesso.plugins.installs.environment import (
    Dist,
    Dists,
    conflicts,
    core_pins,
    installed,
    orphans,
    reachable,
    who_needs,
)
from gesso.plugins.installs.errors import InstallError
from gesso.plugins.installs.journal import Change, Journal, Lock, Locked, now
from gesso.plugins.installs.proposal import Proposal, Row
from gesso.plugins.installs.resolving import Resolver
from gesso.plugins.installs.standing import TERMINAL, Standing
from gesso.plugins.installs.trees import Tree, sites
from gesso.plugins.selection import find
from gesso.plugins.verdicts import forget, set_enabled


class Installer:
    """What may change the plugins that are installed, for one session.

    RefusedError from every method for a session that is not on this machine or has not signed in.
    """

    def __init__(
        self, paths: Paths, standing: Standing = TERMINAL, *, told: Callable[[str], None] = lambda line: None
    ) -> None:
        """`told` gets a line for whatever takes its time."""
        self.paths, self.standing, self.told = paths, standing, told
        self.journal = Journal()

    # --- proposals ------------------------------------------------------------------------------------------------

    def propose_install(self, targets: Sequence[str], *, index: str = "", builds: bool = False) -> Proposal:
        """What installing would change; nothing is changed yet, but files are fetched and unpacked aside.

        `targets` are names with or without versions, wheels, project folders, addresses, git+… addresses. With `index`,
        a file or an address, names are looked up there alone. `builds` allows needs that come as source only.
        InstallError explains what does not go together.
        """
        self._begin("install")
        if not targets:
            raise InvalidInputError("Nothing is named to install.")
        return self._resolved(f"install {' '.join(targets)}", targets, index=index, builds=builds, upgrade=False)

    def propose_update(self, names: Sequence[str] = (), *, index: str = "", builds: bool = False) -> Proposal:
        """What updating these plugins would change; without names all but gesso's own. From where they came from."""
        self._begin("update")
        dists = self._named(names) if names else self._plugins()
        sources = {name: text for change in self.journal.done() for name, text in change.sources.items()}
        targets, notes = [], []
        for name in sorted(dists):
            source = sources.get(name, name)
            if source.endswith(".whl"):
                notes.append(
                    f"{name} was installed from a file: install the newer one with gesso plugins install FILE."
                )
            else:
                targets.append(name if "/" not in source and "\\" not in source else source)
        what = f"update {' '.join(names)}".strip()
        if not targets:
            return self._nothing(what, notes)
        made = self._resolved(what, targets, index=index, builds=builds, upgrade=True)
        return dataclasses.replace(made, notes=(*notes, *made.notes))

    def propose_uninstall(self, names: Sequence[str], *, orphaned: bool = False, data: bool = False) -> Proposal:
        """What removing these plugins would remove: with `orphaned` also what nobody else needs, with `data` theirs."""
        self._begin("uninstall")
        all_, gone = installed(), self._named(names)
        core = core_pins(all_)
        for name in gone:
            if name in core or not self._is_here(all_[name]):
                where = "a part of gesso's core" if name in core else f"outside this environment, in {all_[name].site},"
                raise InstallError(f"{name} is {where} and is not removed from here.")
            users = [f"{dist} ({need})" for dist, need in who_needs(name, all_) if dist.name not in gone]
            if users:
                raise InstallError(
                    f"{name} is needed by {', '.join(users)}.", hint="Uninstall these first, or together."
                )
        left = [n for n in orphans(gone, all_) if self._is_here(all_[n])]
        folders = [f for name in gone if (f := self.paths.plugin_data / name).is_dir()]
        notes = []
        if left and not orphaned:
            notes.append(f"Nothing else needs {', '.join(left)}: --orphans removes them as well.")
        if folders and not data:
            notes.append(f"Its data stays: {', '.join(map(str, folders))}. --data removes it for good.")
        removed = [all_[name] for name in [*gone, *(left if orphaned else [])]]
        trees = {dist.name: self.journal.trees.keep_installed(dist) for dist in removed}
        made = self._proposal(f"uninstall {' '.join(names)}", all_, trees, {}, notes=notes)
        return dataclasses.replace(made, data=tuple(folders) if data else ())

    def propose_rollback(self, id_: int | None = None) -> Proposal:
        """What going back to before a change would change: the last one, or `id_` and all that came after it.

        Only what those changes touched is put back; what was installed by other means meanwhile stays.
        """
        self._begin("roll back")
        done = self.journal.done()
        if not done:
            raise InstallError("There is no change to take back.")
        if id_ is not None and id_ not in {change.id for change in done}:
            known = ", ".join(str(change.id) for change in done)
            raise InstallError(f"There is no change {id_} to take back; there are: {known}.")
        undone = [change for change in done if change.id >= (id_ or done[-1].id)]
        dists = installed()
        target: dict[str, Locked | None] = {}
        for change in reversed(undone):
            target |= {name: change.before.get(name) for name in change.touched}
        old = {n: self.journal.trees.keep_installed(dists[n]) for n in target if n in dists and self._is_here(dists[n])}
        new = {name: self.journal.trees.get(row.tree) for name, row in target.items() if row is not None}
        for name in [name for name in old if name in new and old[name].id == new[name].id]:
            del old[name], new[name]
        what = f"rollback {undone[0].id}"
        hashes = {name: row.sha256 for name, row in target.items() if row is not None}
        made = self._proposal(what, dists, old, new, hashes=hashes)
        self._check_consistent(made, dists)
        return made

    # --- the change -----------------------------------------------------------------------------------------------

    def apply(self, proposal: Proposal, *, smoke: bool = True) -> Change:
        """Make the change. New plugins are probed, and with `smoke` smoked; a bad one is taken out again.

        InstallError when it was undone, or when something else was changed since the proposal.
        """
        self.standing.require("change")
        with self.journal.locked():
            if self._lock(installed()) != _versions(proposal.before):
                raise InstallError("What is installed has changed meanwhile.", hint="Try again.")
            change = Change(
                self.journal.next_id(), proposal.what, now(), "exchange", proposal.before, proposal.after,
                dict(proposal.sources), tuple(plugin.id for plugin in proposal.plugins),
            )  # fmt: skip
            self.told("Exchanging files")
            self.journal.begin(change)
            change = dataclasses.replace(change, phase="trial")
            try:
                self.journal.write(change)
                reason = self._try_out(change, proposal, smoke=smoke) if proposal.on_trial else ""
            except BaseException as error:
                self._undo(change, str(error) or type(error).__name__)
                raise
            if reason:
                self._undo(change, reason)
                raise InstallError(f"{reason}\nIt was taken out again; the environment is as it was before.")
            change = self.journal.end(change)
        self._afterwards(proposal)
        return change

    def _undo(self, change: Change, reason: str) -> None:
        self.journal.undo(change, reason)
        self._forget_gone()

    def _forget_gone(self) -> None:
        """What is not installed has no verdict, and its commands do not stand in `--help`."""
        installed_now = {entry.id for entry in discover().entries}
        for id_ in set(read_cache(self.paths.plugin_cache)) - installed_now:
            if not id_.startswith(f"{LOCAL}:"):
                forget(self.paths, id_)

    def _try_out(self, change: Change, proposal: Proposal, *, smoke: bool) -> str:
        changed = {row.name for row in proposal.rows if row.old}
        return trial.try_out(
            self.paths, change.plugins, self._affected(changed, set(change.plugins)), smoke=smoke, told=self.told
        )

    def _affected(self, changed: Collection[str], new: Collection[str]) -> list[str]:
        """Other plugins in good order that need something that was exchanged."""
        dists, cache = installed(), read_cache(self.paths.plugin_cache)
        disabled = read_disabled(self.paths.plugin_settings)
        return [
            entry.id
            for entry in discover().loadable
            if not entry.built_in and entry.id not in new and entry.id not in disabled
            and (verdict := cache.get(entry.id)) is not None and verdict.ok
            and reachable([canonical(entry.dist)], dists) & set(changed)
        ]  # fmt: skip

    def _afterwards(self, proposal: Proposal) -> None:
        """Enable what was asked for, remove data that was to be removed; neither can break the environment."""
        self._forget_gone()
        disabled = read_disabled(self.paths.plugin_settings)
        for plugin in proposal.plugins:
            if plugin.id in disabled:
                set_enabled(self.paths, plugin.id, enabled=True)
        for folder in proposal.data:
            shutil.rmtree(folder, ignore_errors=True)
        if not proposal.on_trial:
            ids = [e.id for e in discover().loadable if canonical(e.dist) in {row.name for row in proposal.rows}]
            with suppress(InstallError):  # the next start says so as well
                trial.probe(self.paths, ids)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _begin(self, what: str) -> None:
        self.standing.require(what)
        check_environment(self.journal.prefix)
        self.journal.settle()

    def _resolved(self, what: str, targets: Sequence[str], *, index: str, builds: bool, upgrade: bool) -> Proposal:
        dists = installed()
        with tempfile.TemporaryDirectory(prefix="gesso-install-") as folder:
            resolver = Resolver(self.paths, dists, Path(folder), index=index, builds=builds, told=self.told)
            found = resolver.resolve(targets, upgrade=upgrade)
            if not found.items:
                return self._nothing(what, found.notes)
            news = resolver.unpack(found)
            old = {
                n: self.journal.trees.keep_installed(dists[n]) for n in news if n in dists and self._is_here(dists[n])
            }
            new = {
                name: self.journal.trees.keep_staged(dist, resolver.stage, requested=found.is_requested(name, dists))
                for name, dist in news.items()
            }
            previews = resolver.previews(found, news)
        resolver.check_files(old, new, self.journal.prefix)
        made = self._proposal(
            what, dists, old, new, hashes={item.dist.name: item.sha256 for item in found.items}, notes=found.notes,
            news={item.dist.name: item.dist for item in found.items},
        )  # fmt: skip
        return dataclasses.replace(made, plugins=tuple(previews), sources=found.sources, on_trial=True)

    def _proposal(
        self,
        what: str,
        dists: Dists,
        old: Mapping[str, Tree],
        new: Mapping[str, Tree],
        *,
        hashes: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
        news: Dists | None = None,
    ) -> Proposal:
        """The locks before and after, and a row for each distribution that changes."""
        known = self.journal.wheel_hashes()
        before = {
            name: Locked(version, known.get((name, version), ""), old[name].id if name in old else "")
            for name, version in self._lock(dists).items()
        }
        after = {name: row for name, row in before.items() if name not in old}
        after |= {name: Locked(t.version, (hashes or {}).get(name, ""), t.id) for name, t in sorted(new.items())}
        later = {**dists, **(news or {})}
        rows = []
        for name in sorted({*old, *new}):
            was = dists[name].version if name in dists else ""
            becomes = new[name].version if name in new else ""
            users = tuple(dist.name for dist, _ in who_needs(name, later) if dist.name in (news or {}))
            size = (new.get(name) or old[name]).size
            rows.append(Row(name, _kind(was, becomes), was, becomes, size, users, after.get(name, Locked("")).sha256))
        return Proposal(what, before, after, tuple(rows), notes=tuple(notes))

    def _nothing(self, what: str, notes: Sequence[str]) -> Proposal:
        lock = {name: Locked(version) for name, version in self._lock(installed()).items()}
        return Proposal(what, lock, lock, (), notes=tuple(notes))

    def _lock(self, dists: Dists) -> dict[str, str]:
        """Name → version of everything in this environment that is no part of the core."""
        core = core_pins(dists)
        return {name: dists[name].version for name in sorted(dists) if name not in core and self._is_here(dists[name])}

    def _is_here(self, dist: Dist) -> bool:
        return self.journal.trees.holds(dist)

    def _plugins(self) -> list[str]:
        """Distributions with plugins, gesso's own apart."""
        return [name for name, dist in installed().items() if dist.plugins and name != BUILT_IN and self._is_here(dist)]

    def _named(self, names: Sequence[str]) -> list[str]:
        """The distributions these names of plugins or distributions stand for."""
        entries, dists = discover().entries, installed()
        found: dict[str, None] = {}
        for name in names:
            with suppress(UnknownNameError):
                found |= dict.fromkeys(canonical(entry.dist) for entry in find(name, entries))
                continue
            if canonicalize_name(name) not in dists:
                raise UnknownNameError("plugin", name, [text for e in entries for text in (e.name, e.dist)])
            found[canonicalize_name(name)] = None
        if BUILT_IN in found:
            raise InvalidInputError("It comes with gesso and is neither updated nor removed alone.", hint="Disable it.")
        return list(found)

    def _check_consistent(self, proposal: Proposal, dists: Dists) -> None:
        """Going back must not take away what was installed since and needs it."""
        known = {(c.dist.name, str(c.need)) for c in conflicts(dists)}
        gone = {row.name for row in proposal.rows if not row.new}
        later = {name: dist for name, dist in dists.items() if name not in gone}
        later |= {row.name: dataclasses.replace(dists.get(row.name, Dist(row.name, "")), version=row.new, requires=())
                  for row in proposal.rows if row.new}  # fmt: skip
        bad = [c for c in conflicts(later) if (c.dist.name, str(c.need)) not in known]
        if bad:
            lines = "\n  ".join(map(str, bad))
            raise InstallError(f"Something that was installed since needs what would be taken back:\n  {lines}")


def check_environment(prefix: Path) -> None:
    """InstallError for an environment that is not ours to change: read-only, or kept by the system's own packages."""
    hint = "Install gesso into a virtual environment of your own, or start it with launch.py."
    if sys.prefix == sys.base_prefix and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists():
        raise InstallError(f"The Python in {prefix} is kept by the system's package manager.", hint=hint)
    for folder in (str(prefix), *sites(prefix)):
        if not os.access(folder, os.W_OK):
            raise InstallError(f"{folder} cannot be written to, so nothing can be installed here.", hint=hint)


def _kind(old: str, new: str) -> str:
    if not old:
        return "new"
    if not new:
        return "remove"
    with suppress(InvalidVersion):
        if Version(new) != Version(old):
            return "upgrade" if Version(new) > Version(old) else "downgrade"
    return "reinstall" if new == old else "upgrade"


def _versions(lock: Lock) -> dict[str, str]:
    return {name: row.version for name, row in lock.items()}
