"""A kind of adapter claims its own files alone, and no strange header makes it fail."""

from __future__ import annotations

from gesso import Adapter, Header, TensorInfo
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject

OF = "adapters"
NEEDS: Needs = "code"


def strange_headers() -> dict[str, Header]:
    """What lies in a folder of adapters and is none."""

    def header(*names: str, shape: tuple[int, ...] = (4, 4)) -> Header:
        info = TensorInfo(format="F16", shape=shape, start=0, end=2)
        return Header(container="safetensors", tensors=dict.fromkeys(names, info), metadata={"format": "pt"})

    checkpoint = ("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight")
    return {
        "an empty file": header(),
        "a checkpoint": header(*checkpoint),
        "a VAE": header("encoder.conv_in.weight", "decoder.conv_in.weight"),
        "scalars": header("a", "", shape=()),
        "a textual inversion": header("emb_params"),
    }


def check(subject: Subject, item: Adapter) -> None:
    recognise = item.recognise.load()
    for said, header in strange_headers().items():
        try:
            claimed = recognise(header)
        except Exception as error:
            broken(f"{said} makes it fail: {type(error).__name__}: {error}")
        require(claimed is None, f"It claims {said}: {claimed}.")
