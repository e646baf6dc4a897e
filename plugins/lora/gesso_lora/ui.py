"""On the page: the files there are, what they say of themselves, and a button that puts one into the prompt."""

from __future__ import annotations

from typing import Any

import gradio as gr

from gesso import GessoError, Page, Service, TabForm, open_picture

from .names import kind_of

PRIVATE: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}


def build(page: Page, form: TabForm) -> None:
    """A list, a strength, what is known of the chosen file, and its preview."""
    service, prompt = page.service, form.component("prompt")
    with gr.Row():
        chosen = gr.Dropdown(choices=names(service), value=None, label="File", min_width=150)
        strength = gr.Slider(-2, 2, value=1, step=0.05, label="Strength", buttons=[], min_width=150)
    with gr.Row():
        add = gr.Button("Add to the prompt", size="sm")
        rescan = gr.Button("Rescan", size="sm")
    about = gr.Textbox(label="About", interactive=False, lines=3, max_lines=8)
    preview = gr.Image(visible=False, interactive=False, height=160, label="Preview", buttons=[])
    chosen.change(lambda name: told(service, name), chosen, [about, preview, strength], **PRIVATE)
    add.click(lambda *values: added(service, *values), [prompt, chosen, strength], prompt, **PRIVATE)
    rescan.click(lambda: gr.Dropdown(choices=names(service, rescan=True)), None, chosen, **PRIVATE)


def names(service: Service, *, rescan: bool = False) -> list[tuple[str, str]]:
    """Every file of the folders of the role "lora" that can be used."""
    return [(entry.name, entry.name) for entry in service.library.entries("lora", rescan=rescan) if entry.state == "ok"]


def told(service: Service, name: str | None) -> list[Any]:
    """What is known of a file, its preview, and the strength its author prefers."""
    if not name:
        return ["", gr.Image(value=None, visible=False), gr.skip()]
    try:
        entry = service.library.find(name, "lora")
        card, header = service.library.card(entry), service.library.header(entry.path)
        picture = open_picture(card.preview.read_bytes()) if card.preview else None
    except (GessoError, OSError) as error:
        return [str(error), gr.Image(value=None, visible=False), gr.skip()]
    lines = {
        "": card.description, "Trigger words": ", ".join(card.trigger_words), "Made for": card.base_model,
        "Kind": kind_of(header)[0], "Notes": card.notes,
    }  # fmt: skip
    text = "\n".join(f"{label}: {line}" if label else line for label, line in lines.items() if line)
    return [text, gr.Image(value=picture, visible=picture is not None), card.preferred_weight or 1]


def added(service: Service, prompt: str, name: str | None, strength: float) -> str:
    """The prompt with the file's tag, and with its trigger words where they are not in it yet."""
    if not name:
        gr.Info("Choose a file first.")
        return prompt
    try:
        words = service.library.card(service.library.find(name, "lora")).trigger_words
    except GessoError as error:
        gr.Warning(str(error))
        return prompt
    lacking = [word for word in words if word.casefold() not in prompt.casefold()]
    return " ".join(filter(None, [prompt.rstrip(), f"<lora:{name}:{strength:g}>", ", ".join(lacking)]))
