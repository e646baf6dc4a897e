"""Which plugins may be imported here: cached verdicts where they hold, the probe's where they do not."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from gesso.paths import Paths
from gesso.plugins.cache import Verdict, read_cache, read_disabled, write_cache, write_disabled
from gesso.plugins.discovery import Discovery, Entry
from gesso.plugins.installs.journal import TRIAL
from gesso.plugins.marks import crashed_plugins

MAX_CRASHES = 2
"""A process that ends while loading a plugin orders a new probe; a second end after a good probe is a verdict."""
LOCK_SECONDS = 120.0
MAX_TOLD = 10
"""New plugins that are named."""
PROBE_SECONDS = 10.0
"""What a plugin may take to be imported and registered in the probe."""

log = logging.getLogger("gesso.plugins")


def judge(
    entries: Sequence[Entry],
    found: Discovery,
    paths: Paths,
    *,
    probe: bool = True,
    force: Collection[str] = (),
    timeout: float | None = None,
) -> dict[str, Verdict]:
    """The verdict on each of `entries`, by id. New, changed, crashed and `force`d ones are probed in a child process.

    Without `probe` only verdicts that already hold are returned. The cache is written when something was probed.
    """
    cached = read_cache(paths.plugin_cache)
    crashed = crashed_plugins(paths.plugin_marks)
    due = [e for e in entries if e.id in crashed or e.id in force or not holds(cached.get(e.id), e, found)]
    if due and probe:
        with _locked(paths):
            cached = read_cache(paths.plugin_cache)
            # Another process may have probed them while this one waited for the lock.
            due = [e for e in due if e.id in crashed or e.id in force or not holds(cached.get(e.id), e, found)]
            new = [e for e in due if e.id not in cached and not e.built_in and not e.folder]
            try:
                cached = _probe(due, cached, crashed, force, found, timeout or PROBE_SECONDS)
            except OSError as error:  # no process, no temporary folder: nothing is known, so nothing is remembered
                return held(entries, cached | {e.id: _unprobed(e, found, error) for e in due}, found)
            _save(paths, cached)
            _tell(new, cached)
    return held(entries, cached, found)


def _tell(new: Sequence[Entry], cached: dict[str, Verdict]) -> None:
    """Say once that plugins have come, which pip alone may have installed; `gesso plugins install` says so itself."""
    if new and TRIAL not in os.environ:
        shown = [f"{e.id} {e.version} ({cached[e.id].state})".replace("  ", " ") for e in new[:MAX_TOLD]]
        more = f" and {len(new) - MAX_TOLD} more" if len(new) > MAX_TOLD else ""
        log.warning("New plugins: %s%s. gesso plugins list shows them.", ", ".join(shown), more)


def held(entries: Sequence[Entry], cached: dict[str, Verdict], found: Discovery) -> dict[str, Verdict]:
    """The verdicts that hold, by plugin id."""
    return {e.id: cached[e.id] for e in entries if holds(cached.get(e.id), e, found)}


def holds(verdict: Verdict | None, entry: Entry, found: Discovery) -> bool:
    """A good verdict holds until the plugin changes; a bad one also until what is installed changes."""
    if verdict is None or verdict.key != entry.key:
        return False
    if verdict.ok:
        return True
    return verdict.environment == found.environment and not (verdict.missing and _is_installed(verdict.missing))


def absolve(paths: Paths, loaded: Collection[str]) -> None:
    """Forget the crashes of plugins that have now been loaded without one."""
    cached = read_cache(paths.plugin_cache) if paths.plugin_cache.exists() else {}
    guilty = [id_ for id_ in loaded if id_ in cached and cached[id_].crashes]
    if guilty:
        with _locked(paths):
            cached = read_cache(paths.plugin_cache)
            _save(paths, cached | {id_: replace(cached[id_], crashes=0) for id_ in guilty if id_ in cached})


def _unprobed(entry: Entry, found: Discovery, error: OSError) -> Verdict:
    hint = "Try again, or start with --safe-mode."
    return Verdict(entry.key, found.environment, "failed", "probe", str(error), hint=hint)


def set_enabled(paths: Paths, id_: str, enabled: bool) -> None:
    """Enable or disable a plugin from the next start on. Enabling forgets what the probe said."""
    with _locked(paths):
        disabled = read_disabled(paths.plugin_settings)
        write_disabled(paths.plugin_settings, disabled - {id_} if enabled else disabled | {id_})
        cached = read_cache(paths.plugin_cache)
        if enabled and cached.pop(id_, None) is not None:
            _save(paths, cached)


def forget(paths: Paths, id_: str) -> None:
    """The next start probes this plugin again, whatever is remembered of it."""
    if paths.plugin_cache.exists():
        with _locked(paths):
            cached = read_cache(paths.plugin_cache)
            if cached.pop(id_, None) is not None:
                _save(paths, cached)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _probe(
    due: Sequence[Entry],
    cached: dict[str, Verdict],
    crashed: Collection[str],
    force: Collection[str],
    found: Discovery,
    timeout: float,
) -> dict[str, Verdict]:
    """The cache's new content: probed verdicts added, plugins that are gone left out."""
    from gesso.plugins.prober import probe

    installed = {entry.id for entry in found.entries}
    result = {id_: verdict for id_, verdict in cached.items() if id_ in installed}
    for entry, verdict in zip(due, probe(due, timeout=timeout), strict=True):
        old = cached.get(entry.id)
        known = old is not None and old.key == entry.key and entry.id not in force
        crashes = (old.crashes if known and old else 0) + (entry.id in crashed)
        verdict = replace(verdict, key=entry.key, environment=found.environment, crashes=crashes)
        if verdict.ok and crashes >= MAX_CRASHES:
            verdict = replace(
                verdict,
                state="failed",
                phase="import",
                error=f"{crashes} times the process ended while this plugin was loaded, though its probe succeeded.",
                hint=f"Try again with: gesso plugins probe {entry.id}",
            )
        result[entry.id] = verdict
    return result


def _save(paths: Paths, verdicts: dict[str, Verdict]) -> None:
    try:
        write_cache(paths.plugin_cache, verdicts)
    except OSError as error:
        log.warning("The plugin cache cannot be written (%s); plugins are probed at every start.", error)


@contextmanager
def _locked(paths: Paths) -> Iterator[None]:
    """One process probes at a time. Where no lock can be had (a read-only folder) go on without one."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{paths.plugin_cache}.lock")
    try:
        paths.home.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LOCK_SECONDS)
    except (OSError, Timeout) as error:
        log.debug("No lock on the plugin cache: %s", error)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.release()
