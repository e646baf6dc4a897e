from __future__ import annotations

import gradio as gr

from gesso import text


def broken(page):
    """Fails half-way, with components and an event of its own already made."""
    with gr.Row():
        button = gr.Button("never seen")
        button.click(lambda: "x", outputs=gr.Textbox())
        raise ZeroDivisionError("<b>half a tab</b>")


def plain(page):
    button, answer = gr.Button("Ask", elem_id="odd-ask"), gr.Textbox(label="Answer", elem_id="odd-answer")
    button.click(lambda: "alive", outputs=answer)


def broken_panel(page, form):
    gr.Button("never seen either")
    form.component("no_such_field")


def panel(page, form):
    prompt = form.component("prompt")
    gr.Button(text("odd.shout"), elem_id=f"{form.name}-shout").click(str.upper, prompt, prompt)
