"""A family claims no file that is not its own, and no strange header makes it fail."""

from __future__ import annotations

from gesso import Family, Header, TensorInfo
from gesso_smoke.rules import Needs, broken, require
from gesso_smoke.subject import Subject

OF = "families"
NEEDS: Needs = "code"


def strange_headers() -> dict[str, Header]:
    """What lies in a models folder and is no checkpoint of anybody."""

    def header(**shapes: tuple[int, ...]) -> Header:
        return Header(
            container="safetensors",
            tensors={
                n.replace("__", "."): TensorInfo(format="F16", shape=s, start=0, end=2) for n, s in shapes.items()
            },
        )

    return {
        "an empty file": header(),
        "a LoRA": header(lora_unet_x__lora_down__weight=(4, 320), lora_unet_x__lora_up__weight=(320, 4)),
        "scalars": header(a=(), b=(), model__diffusion_model=()),
        "a single tensor": header(weight=(3, 3)),
        "a file of another kind": header(emb_params=(2, 768)),
    }


def check(subject: Subject, item: Family) -> None:
    detect = item.detect.load()
    for said, header in strange_headers().items():
        try:
            claimed = list(detect(header))
        except Exception as error:
            broken(f"{said} makes it fail: {type(error).__name__}: {error}")
        require(not claimed, f"It claims {said}: {claimed[0] if claimed else ''}.")
