"""Plugins' panels in the named slots of the generation tabs."""

from __future__ import annotations

import functools

import gradio as gr

from gesso import Page, Panel, text

from .boundary import build_in
from .form import RequestForm


def add_panels(page: Page, form: RequestForm, slot: str) -> None:
    """The panels of a slot in the current Gradio context, folded, each inside its own boundary."""
    registry = page.service.host.registry("panels")
    mine = [panel for panel in registry if panel.slot == slot and (not panel.tabs or form.name in panel.tabs)]
    for panel in sorted(mine, key=lambda panel: (panel.order, panel.name)):
        build = functools.partial(_build, panel, page, form)
        label = text(f"panels.{panel.name}", panel.label)
        build_in(
            gr.Accordion(label, open=False, elem_id=f"{form.name}-panel-{panel.name}"), page.service.host,
            registry.owner(panel.name), f"the panel {panel.name}", text("shell.card.panel", panel=label),
            build,
        )  # fmt: skip


def _build(panel: Panel, page: Page, form: RequestForm) -> None:
    panel.build.load()(page, form)
