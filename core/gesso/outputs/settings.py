"""The settings section "outputs"; frozen into each job, so that a change touches no job that waits."""

from __future__ import annotations

from gesso.params import Params, param


class OutputSettings(Params):
    """How pictures are written."""

    format: str = param(
        "png", label="Format", choices="registry:formats",
        description="Each format has options of its own, in the section format.<name>.",
    )  # fmt: skip
    folder: str = param(
        "[date]", label="Folder pattern", max_length=500,
        description="Below the outputs folder. Tokens as [date] or [model_name] are replaced; / makes a folder.",
    )  # fmt: skip
    name: str = param("[seed]", label="Name pattern", max_length=500, description="As [seed]-[prompt_spaces].")
    number: bool = param(True, label="Number in front", description="Names begin with 00000-, counted up by folder.")
    sidecar: bool = param(False, label="Text file beside each picture", description="The infotext as <name>.txt.")
    prompt_words: int = param(8, ge=1, le=100, step=1, label="Words taken by [prompt_words]")
