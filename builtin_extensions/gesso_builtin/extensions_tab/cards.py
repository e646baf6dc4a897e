"""Plugins as cards: HTML from their states. No Gradio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from gesso import HookState, PluginState

TITLES = {
    "enabled": "In use", "disabled": "Disabled", "quarantined": "In quarantine", "failed": "Failed",
    "incompatible": "Incompatible", "missing-deps": "Lacks a package",
}  # fmt: skip
NEXT = {
    "enabled": "Enabled from the next start on.", "disabled": "Disabled from the next start on.",
    "uninstalled": "Uninstalled: gone from the next start on.",
}  # fmt: skip
ADVICE = {
    "failed": "Update it, or disable it; all else works without it.",
    "quarantined": "It goes on without the hooks that failed. Update or disable it, or give it another chance.",
    "missing-deps": "Install what it needs, or disable it.",
}  # fmt: skip


def overview(states: Sequence[PluginState], said: str = "") -> str:
    """The whole tab: a line of numbers, a message, the cards of extensions, and gesso's own folded below."""
    others = sorted((s for s in states if not s.built_in), key=lambda s: (not troubled(s), s.name.casefold()))
    own = [state for state in states if state.built_in]
    bad = [state for state in own if troubled(state)]
    parts = [_summary(states), f'<p class="gx-said" role="status">{escape(said)}</p>']
    if not others:
        parts.append(_empty())
    parts.append(_grid([*bad, *others]))
    well = [state for state in own if not troubled(state)]
    parts.append(f'<details class="gx-own"><summary>{len(well)} that come with gesso</summary>{_grid(well)}</details>')
    return f'<div class="gx">{"".join(parts)}</div>'


def troubled(state: PluginState) -> bool:
    """Whether it needs somebody's eye."""
    return bool(state.error) or state.state not in ("enabled", "disabled")


def _summary(states: Sequence[PluginState]) -> str:
    use = sum(state.state in ("enabled", "quarantined") for state in states)
    trouble = sum(troubled(state) for state in states)
    text = f"{len(states)} extensions, {use} in use"
    text += f", {trouble} with a problem." if trouble else ". All is well."
    return (
        f'<div class="gx-head"><p>{text}</p><div class="gx-tools">'
        '<input type="search" class="gx-search" placeholder="Search" aria-label="Search extensions">'
        '<button type="button" data-do="refresh">Refresh</button>'
        '<button type="button" data-do="copy" data-id="">Copy report</button></div></div>'
    )


def _empty() -> str:
    return (
        '<div class="gx-empty"><p>No extension is installed beside those that come with gesso.</p>'
        "<p>Install one with <code>gesso plugins install NAME</code>, or with pip; it is here after the next start. "
        "Write one with <code>gesso plugins new my-sampler</code>.</p></div>"
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
        f'<header><h3>{escape(state.name)}</h3><span class="gx-badge">{_title(state)}</span>'
        f'<span class="gx-dist">{escape(version)}</span></header>'
        f"{_trouble(state)}{_facts(state)}{_hooks(state)}{_buttons(state)}</article>"
    )


def _title(state: PluginState) -> str:
    return "In use, with errors" if state.state == "enabled" and state.error else TITLES[state.state]


def _trouble(state: PluginState) -> str:
    parts = []
    if state.error:
        where = " · ".join(part for part in (state.hook, state.phase) if part)
        parts.append(f'<p class="gx-error"><b>{escape(where)}</b> {escape(state.error)}</p>')
    if advice := state.hint or ADVICE.get(state.state, ""):
        parts.append(f'<p class="gx-hint">{escape(advice)}</p>')
    parts += [f'<p class="gx-hint">{escape(warning)}</p>' for warning in state.warnings]
    if state.next_start:
        parts.append(f'<p class="gx-next">{NEXT[state.next_start]}</p>')
    if state.traceback:
        parts.append(f"<details><summary>Traceback</summary><pre>{escape(state.traceback)}</pre></details>")
    return "".join(parts)


def _facts(state: PluginState) -> str:
    if not state.hook_states and not state.import_ms:
        return ""  # it was never here
    facts = [
        ("Import", f"{state.import_ms:.1f} ms"), ("Calls", f"{state.calls:,}"), ("Time", _time(state.total_ms)),
        ("Errors", str(state.errors)), *([("Declares", ", ".join(state.capabilities))] if state.capabilities else []),
    ]  # fmt: skip
    return '<dl class="gx-facts">' + "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts) + "</dl>"


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
        where = ", ".join(one.process for one in found if one.calls or one.errors) or "not called yet"
        calls, errors = sum(one.calls for one in found), sum(one.errors for one in found)
        ms = sum(one.total_ms for one in found)
        mark = " (in quarantine)" if any(one.quarantined for one in found) else ""
        rows.append(
            f"<tr><td><code>{escape(hook.removeprefix('gesso_'))}</code>{mark}</td><td>{where}</td><td>{calls:,}</td>"
            f"<td>{_time(ms)}</td><td>{errors}</td></tr>"
        )
    head = "<tr><th>Hook</th><th>Process</th><th>Calls</th><th>Time</th><th>Errors</th></tr>"
    count = f"{len(by_hook)} hook" + ("s" if len(by_hook) > 1 else "")
    return (
        f'<details><summary>{count}</summary><div class="gx-scroll"><table><thead>{head}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _buttons(state: PluginState) -> str:
    off = state.next_start == "disabled" or (state.state == "disabled" and state.next_start != "enabled")
    names = [("enable", "Enable")] if off else [("disable", "Disable")]
    if state.error or state.errors:
        names.append(("reset", "Another chance"))
    names.append(("copy", "Copy report"))
    id_ = escape(state.id)
    buttons = [f'<button type="button" data-do="{do}" data-id="{id_}">{text}</button>' for do, text in names]
    return f"<footer>{''.join(buttons)}</footer>"
