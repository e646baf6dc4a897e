from __future__ import annotations

import gradio as gr


def broken(page):
    """Fails half-way, with components and an event of its own already made."""
    with gr.Row():
        button = gr.Button("never seen")
        button.click(lambda: "x", outputs=gr.Textbox())
        raise ZeroDivisionError("<b>half a tab</b>")


def plain(page):
    button, answer = gr.Button("Ask", elem_id="odd-ask"), gr.Textbox(label="Answer", elem_id="odd-answer")
    button.click(lambda: "alive", outputs=answer)
