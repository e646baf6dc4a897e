"""Models as cards: HTML from what the library knows. No Gradio."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

from gesso import HostService, text

Entry = Any
"""A model file as `service.library` gives it out."""
ROLES = ("checkpoint", "vae", "lora", "text_encoder")
"""Kinds with a name of their own here; a plugin's are called as it calls them."""


def memory(service: HostService) -> str:
    """What is in memory now, and the button that ends that."""
    hashes = loaded(service)
    names = [entry.name for entry in service.library.all_entries() if entry.hash and entry.hash in hashes]
    if not hashes:
        return f"<p>{text('models_tab.memory.none')}</p>"
    said = text("models_tab.memory", names=", ".join(names) or str(len(hashes)))
    return (
        f"<p>{escape(said)}</p>"
        f'<button type="button" class="gesso-button" data-do="unload">{text("models_tab.unload")}</button>'
    )


def loaded(service: HostService) -> tuple[str, ...]:
    """Hashes of the models in memory; none on a page that runs no jobs."""
    worker = getattr(service, "worker", None)
    return () if worker is None else tuple(worker.loaded())


def roles(service: HostService, chosen: str) -> str:
    """The kinds there are, with the number of each."""
    counts: dict[str, int] = dict.fromkeys(ROLES[:1], 0)
    for entry in service.library.all_entries():
        counts[entry.role] = counts.get(entry.role, 0) + 1
    return "".join(
        f'<option value="{escape(role)}"{" selected" if role == chosen else ""}>{role_label(role)} ({count})</option>'
        for role, count in counts.items()
    )


def role_label(role: str) -> str:
    return text(f"models_tab.role.{role}") if role in ROLES else escape(role.replace("_", " ").capitalize())


def listed(service: HostService, role: str, words: str, limit: int) -> str:
    """The cards of the first `limit` models of a kind whose name, file, family or hash has all the words."""
    wanted = words.casefold().split()
    found = [entry for entry in service.library.entries(role) if all(word in _text(entry) for word in wanted)]
    if not found:
        return _none(service, role, filtered=bool(wanted))
    hashes = loaded(service)
    cards = "".join(card(service, entry, hashes) for entry in found[:limit])
    more = ""
    if len(found) > limit:
        label = text("models_tab.more", count=len(found) - limit)
        more = f'<button type="button" class="gesso-button" data-do="more">{label}</button>'
    return f'<div class="gm-grid">{cards}</div>{more}'


def _text(entry: Entry) -> str:
    return f"{entry.name} {entry.title} {entry.path} {entry.family} {entry.variant} {entry.hash}".casefold()


def _none(service: HostService, role: str, *, filtered: bool) -> str:
    if filtered:
        return f'<p class="gesso-empty">{text("models_tab.none.found")}</p>'
    folders = ", ".join(str(folder.path) for folder in service.library.folders(role))
    return f'<p class="gesso-empty">{text("models_tab.none", folder=escape(folders))}</p>'


def card(service: HostService, entry: Entry, hashes: Collection[str]) -> str:
    """One model: picture, name, what it is, its words."""
    known = service.library.card(entry)
    badges = []
    if entry.state != "ok":
        badges.append(f'<span class="gesso-badge gesso-danger">{text("models_tab.refused")}</span>')
    if entry.hash and entry.hash in hashes:
        badges.append(f'<span class="gesso-badge gesso-success">{text("models_tab.loaded")}</span>')
    if entry.built_in:
        badges.append(f'<span class="gesso-badge">{text("models_tab.built_in")}</span>')
    problem = f'<p class="gm-problem">{escape(entry.problem)}</p>' if entry.problem else ""
    about = f'<p class="gm-about">{escape(known.description[:300])}</p>' if known.description else ""
    return (
        f'<article class="gm-card">{_picture(entry, known.preview is not None)}<div class="gm-words">'
        f"<h3>{escape(entry.title or entry.name)}</h3>{''.join(badges)}{problem}{_facts(service, entry, known)}"
        f"{_words(known.trigger_words)}{about}</div></article>"
    )


def _picture(entry: Entry, there: bool) -> str:
    if not there:
        return f'<div class="gm-picture" aria-hidden="true">{escape(entry.name[:2].upper())}</div>'
    query = escape(urlencode({"role": entry.role, "name": entry.name}))
    return f'<img class="gm-picture" src="plugins/models_tab/preview?{query}" alt="" loading="lazy">'


def _facts(service: HostService, entry: Entry, known: Any) -> str:
    family = service.host.registry("families").find(entry.family) if entry.family else None
    base = " ".join(part for part in (family.label if family else entry.family, entry.variant) if part)
    facts = {
        "name": entry.name if entry.title else "", "base": base or known.base_model,
        "size": _size(entry.size), "dtype": entry.dtype, "hash": entry.short_hash or text("models_tab.no_hash"),
        "file": entry.path,
    }  # fmt: skip
    rows = "".join(
        f"<div><dt>{text(f'models_tab.fact.{key}')}</dt><dd>{escape(str(value))}</dd></div>"
        for key, value in facts.items()
        if value
    )
    return f"<dl>{rows}</dl>"


def _size(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _words(words: Sequence[str]) -> str:
    """Trigger words, each a button that copies it."""
    if not words:
        return ""
    label = text("models_tab.copy")
    buttons = "".join(
        f'<button type="button" class="gesso-button" data-do="copy" title="{label}">{escape(word)}</button>'
        for word in words
    )
    return f'<p class="gm-triggers"><span>{text("models_tab.triggers")}</span>{buttons}</p>'
