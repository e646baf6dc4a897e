"""Plugins as cards: HTML from their states. No Gradio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from gesso import HookState, PluginState, text

BADGES = {
    "enabled": "gesso-success", "quarantined": "gesso-warning", "incompatible": "gesso-warning",
    "failed": "gesso-danger", "missing-deps": "gesso-danger",
}  # fmt: skip
LOCAL = "local"
"""The distribution of a file in a plugins folder, which nobody installed."""
ADVISED = ("failed", "quarantined", "missing-deps")
"""States with advice of their own where the host has none."""


def overview(states: Sequence[PluginState], said: str = "") -> str:
    """The whole tab: a line of numbers, a message, the cards of extensions, and gesso's own folded below."""
    others = sorted((s for s in states if not s.built_in), key=lambda s: (not troubled(s), s.name.casefold()))
    own = [state for state in states if state.built_in]
    bad = [state for state in own if troubled(state)]
    parts = [_summary(states), _install(others), f'<p class="gx-said" role="status">{escape(said)}</p>']
    if not others:
        parts.append(_empty())
    parts.append(_grid([*bad, *others]))
    well = [state for state in own if not troubled(state)]
    title = text("extensions.own", count=len(well))
    parts.append(f'<details class="gx-own"><summary>{title}</summary>{_grid(well)}</details>')
    return f'<div class="gx">{"".join(parts)}</div>'


def troubled(state: PluginState) -> bool:
    """Whether it needs somebody's eye."""
    return bool(state.error) or state.state not in ("enabled", "disabled")


def _summary(states: Sequence[PluginState]) -> str:
    use = sum(state.state in ("enabled", "quarantined") for state in states)
    trouble = sum(troubled(state) for state in states)
    words = text("extensions.summary", count=len(states), used=use)
    words += " " + (text("extensions.trouble", count=trouble) if trouble else text("extensions.all_well"))
    return (
        f'<div class="gx-head"><p>{words}</p><div class="gx-tools">'
        f'<input type="search" class="gx-search gesso-input" placeholder="{text("extensions.search")}" '
        f'aria-label="{text("extensions.search_in")}">'
        f"{_button('refresh')}{_button('copy')}</div></div>"
    )


def _button(do: str, id_: str = "") -> str:
    label = text(f"extensions.{do}")
    return f'<button type="button" class="gesso-button" data-do="{do}" data-id="{escape(id_)}">{label}</button>'


def _install(others: Sequence[PluginState]) -> str:
    """The line to install by, and the place where a change is shown before it is made."""
    label, hint = text("extensions.install"), text("extensions.install_what")
    more = _change("update", text("extensions.update_all")) if others else ""
    return (
        f'<form class="gx-install"><input name="names" class="gesso-input" placeholder="{hint}" aria-label="{hint}" '
        f'autocomplete="off" spellcheck="false"><button class="gesso-button">{label}</button>'
        f"{more}{_change('rollback', text('extensions.rollback'))}</form>"
        '<section class="gx-work" role="status" hidden></section>'
    )


def _change(action: str, label: str, name: str = "") -> str:
    return (
        f'<button type="button" class="gesso-button" data-change="{action}" data-name="{escape(name)}">{label}</button>'
    )


def _empty() -> str:
    install, new = "<code>gesso plugins install NAME</code>", "<code>gesso plugins new my-sampler</code>"
    return (
        f'<div class="gesso-empty gx-empty"><p>{text("extensions.none")}</p>'
        f"<p>{text('extensions.none_advice', install=install, new=new)}</p></div>"
    )


def _grid(states: Iterable[PluginState]) -> str:
    cards = "".join(card(state) for state in states)
    return f'<div class="gx-grid">{cards}</div>' if cards else ""


def card(state: PluginState) -> str:
    """One plugin."""
    id_ = escape(state.id)
    kind = "problem" if troubled(state) and state.state == "enabled" else state.state
    words = escape(f"{state.name} {state.dist} {state.state} {state.error}".casefold())
    version = f"{state.dist} {state.version}".strip()
    return (
        f'<article class="gx-card gx-{kind}" data-id="{id_}" data-words="{words}">'
        f"<header><h3>{escape(state.name)}</h3>"
        f'<span class="gesso-badge {_colour(state)}">{_title(state)}</span>'
        f'<span class="gx-dist">{escape(version)}</span></header>'
        f"{_trouble(state)}{_facts(state)}{_hooks(state)}{_buttons(state)}</article>"
    )


def _title(state: PluginState) -> str:
    kind = "enabled_with_errors" if state.state == "enabled" and state.error else state.state
    return text(f"extensions.state.{kind.replace('-', '_')}")


def _colour(state: PluginState) -> str:
    return "gesso-warning" if state.state == "enabled" and state.error else BADGES.get(state.state, "")


def _trouble(state: PluginState) -> str:
    parts = []
    if state.error:
        where = " · ".join(part for part in (state.hook, state.phase) if part)
        parts.append(f'<p class="gx-error"><b>{escape(where)}</b> {escape(state.error)}</p>')
    own = text(f"extensions.advice.{state.state.replace('-', '_')}") if state.state in ADVISED else ""
    if advice := state.hint or own:
        parts.append(f'<p class="gx-hint">{escape(advice)}</p>')
    parts += [f'<p class="gx-hint">{escape(warning)}</p>' for warning in state.warnings]
    if state.next_start:
        parts.append(f'<p class="gx-next">{text(f"extensions.next.{state.next_start}")}</p>')
    if state.traceback:
        parts.append(
            f"<details><summary>{text('extensions.traceback')}</summary><pre>{escape(state.traceback)}</pre></details>"
        )
    return "".join(parts)


def _facts(state: PluginState) -> str:
    if not state.hook_states and not state.import_ms:
        return ""  # it was never here
    facts = [
        ("import", f"{state.import_ms:.1f} ms"), ("calls", f"{state.calls:,}"), ("time", _time(state.total_ms)),
        ("errors", str(state.errors)), *([("declares", ", ".join(state.capabilities))] if state.capabilities else []),
    ]  # fmt: skip
    cells = "".join(f"<div><dt>{text(f'extensions.{k}')}</dt><dd>{escape(v)}</dd></div>" for k, v in facts)
    return f'<dl class="gx-facts">{cells}</dl>'


def _time(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.1f} ms"


def _hooks(state: PluginState) -> str:
    """A row for each hook, those that were called first; host and worker apart."""
    if not state.hook_states:
        return ""
    by_hook: dict[str, list[HookState]] = {}
    for one in state.hook_states:
        by_hook.setdefault(one.hook, []).append(one)
    rows = []
    for hook, found in by_hook.items():
        where = ", ".join(one.process for one in found if one.calls or one.errors) or text("extensions.not_called")
        calls, errors = sum(one.calls for one in found), sum(one.errors for one in found)
        ms = sum(one.total_ms for one in found)
        mark = f" ({text('extensions.in_quarantine')})" if any(one.quarantined for one in found) else ""
        rows.append(
            f"<tr><td><code>{escape(hook.removeprefix('gesso_'))}</code>{mark}</td><td>{where}</td><td>{calls:,}</td>"
            f"<td>{_time(ms)}</td><td>{errors}</td></tr>"
        )
    columns = [text(f"extensions.{name}") for name in ("hook", "process", "calls", "time", "errors")]
    head = f"<tr><th>{'</th><th>'.join(columns)}</th></tr>"
    count = text("extensions.hooks", count=len(by_hook))
    return (
        f'<details><summary>{count}</summary><div class="gx-scroll"><table><thead>{head}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _buttons(state: PluginState) -> str:
    off = state.next_start == "disabled" or (state.state == "disabled" and state.next_start != "enabled")
    names = ["enable" if off else "disable", *(["reset"] if state.error or state.errors else []), "copy"]
    own = "".join(_button(name, state.id) for name in names)
    if not state.built_in and state.dist != LOCAL and state.next_start != "uninstalled":
        own += "".join(_change(action, text(f"extensions.{action}"), state.id) for action in ("update", "uninstall"))
    return f"<footer>{own}</footer>"
