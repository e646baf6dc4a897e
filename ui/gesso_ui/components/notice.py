"""Messages in the page: what went wrong and what to do."""

from __future__ import annotations

import logging
from html import escape
from typing import Any

import gradio as gr

from gesso import GessoError, text

log = logging.getLogger("gesso.page")


def notice(**look: Any) -> Any:
    """A place for a message; empty it takes no room. Give it `error_text` or ""."""
    return gr.HTML("", elem_classes="gesso-notice", js_on_load=None, **look)


def error_text(error: BaseException) -> str:
    """An error as a message. What was not meant for people is also logged."""
    if isinstance(error, GessoError):
        return message(str(error))
    log.error("a handler of the page failed", exc_info=error)
    return message(text("shell.wrong", error=f"{type(error).__name__}: {error}"))


def message(text: str, kind: str = "error") -> str:
    """HTML of a message; `kind` is "error" or "warning"."""
    role = "alert" if kind == "error" else "status"
    return f'<div class="gesso-message gesso-{kind}" role="{role}">{escape(text)}</div>'
