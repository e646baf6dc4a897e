"""Around what a plugin builds in the page: half a tab is thrown away, and a card says whose it was and what to do."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr
from gradio.context import Context

from gesso import GessoError, PluginState, text


def build_in(place: Any, host: Any, owner: str, what: str, title: str, build: Callable[[], object]) -> bool:
    """Call `build` for the plugin `owner` in the Gradio context `place`; False when a card stands there instead.

    `what` names it in the plugin's state ("the tab clock"), `title` on the card.
    """
    # A `Blocks` of its own for each part would be the documented way to throw half of one away; it costs 0.1 s each,
    # since Gradio makes a whole application for it.
    made = Context.root_block.default_config
    blocks, events, number = set(made.blocks), set(made.fns), made.fn_id
    with place, host.guarded(owner, phase="build", hook=what) as outcome:
        build()
    if outcome.error is not None:
        made.blocks = {key: block for key, block in made.blocks.items() if key in blocks}
        made.fns = {key: event for key, event in made.fns.items() if key in events}
        made.fn_id = number
        place.children.clear()
        with place:
            gr.HTML(card(host.state(owner), title, outcome.error), js_on_load=None)
        return False
    if not host.state(owner).built_in:
        for event in [event for key, event in made.fns.items() if key not in events]:
            event.fn = attributed(host, owner, what, event.fn)
    return True


def attributed(host: Any, owner: str, what: str, handler: Any) -> Any:
    """A handler whose errors are put down to its plugin; Gradio shows them to the person as before."""
    plain = inspect.isfunction(handler) or inspect.ismethod(handler)
    if not plain or inspect.isgeneratorfunction(handler) or inspect.iscoroutinefunction(handler):
        return handler

    @functools.wraps(handler)
    def call(*values: Any, **named: Any) -> Any:
        try:
            return handler(*values, **named)
        except Exception as error:
            if not isinstance(error, (gr.Error, GessoError)):  # those are words for the person
                host.note(owner, error, phase="handler", hook=what)
            raise

    return call


def card(state: PluginState, title: str, error: BaseException) -> str:
    """Who failed, how, and what to do."""
    cause = error.__cause__ or error
    rows = {
        text("shell.card.plugin"): f"{state.dist}:{state.name} {state.version}",
        text("shell.card.error"): f"{type(cause).__name__}: {cause}",
    }
    cells = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in rows.items())
    command = f"<code>gesso plugins disable {escape(state.name)}</code>"
    return (
        f'<section class="gesso-card" role="alert"><h2>{escape(title)}</h2><dl>{cells}</dl>'
        f"<p>{text('shell.card.advice', command=command)}</p></section>"
    )
