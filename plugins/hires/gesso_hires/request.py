"""What is settled before a job is queued. Runs in the host."""

from __future__ import annotations

from typing import Any

from gesso import InvalidInputError, Request, Service, picture_size

from .params import NAME, HiresParams
from .sizes import sizes


def settled(request: Request, service: Service) -> Request:
    """The request with the second pass's names as they are called here, and the size of a picture that is brought.

    UnknownNameError, BadFileError: something it names is not here. InvalidInputError: it starts from a picture already,
    or sizes are out of bounds.
    """
    asked = HiresParams.parse(request.params[NAME], where=NAME)
    if "init" in request.inputs:
        raise InvalidInputError(
            "The second pass belongs to pictures made from text alone.",
            hint="Switch off hires, or make the picture larger with img2img's own width and height.",
        )
    update: dict[str, Any] = {"upscaler": service.host.registry("upscalers").get(asked.upscaler).label}
    for slot in ("sampler", "scheduler"):
        if name := getattr(asked, slot):
            update[slot] = service.host.registry(f"{slot}s").get(name).label
    if asked.checkpoint:
        ref = service.library.ref(asked.checkpoint)
        update["checkpoint"] = f"{ref.name} [{ref.hash[:10]}]"
    changed: dict[str, Any] = {}
    step = service.size_step(request.model)
    if asked.picture is not None:
        width, height = picture_size(service.file(asked.picture))
        changed = {"width": max(step, width // step * step), "height": max(step, height // step * step)}
    first = changed.get("width", request.width), changed.get("height", request.height)
    sizes(first, asked, step)
    record = {**request.params[NAME], **update}
    return Request.parse({**request.model_dump(), **changed, "params": {**request.params, NAME: record}})
