"""Text to image: its tab, and the stages every generation goes through, from loading the model to the saved file."""

from __future__ import annotations

from gesso import Registrar, Stage, StageFn, Tab, TabFn, hookimpl, lazy

api = "1"
LABELS = {
    "load": "Loading the model", "encode": "Reading the prompt", "init": "Getting ready", "sample": "Sampling",
    "decode": "Decoding", "postprocess": "Finishing", "save": "Saving",
}  # fmt: skip


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    for anchor, label in LABELS.items():
        registry.add(Stage(name=anchor, label=label, anchor=anchor, run=lazy(f".stages:{anchor}", StageFn)))


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="txt2img", label="txt2img", order=10, build=lazy(".ui:build", TabFn)))
