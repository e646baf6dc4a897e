"""A kind of adapter, tried with its own example on a loaded model. Imports torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

from gesso.contributions import Adapter
from gesso.models.adapters import AdapterKeys, patched
from gesso.models.headers import read_header
from gesso.models.model import Model
from gesso.models.readers import SafetensorsReader


def digests(model: Model) -> dict[str, str]:
    """`part.parameter` (and buffers) → SHA-256 of the values' bytes."""
    return {
        f"{part}.{name}": hashlib.sha256(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        ).hexdigest()
        for part, component in model.components().items()
        for name, tensor in component.module.state_dict(keep_vars=True).items()
    }


class AdapterTrial:
    """The example of a kind for one matrix and one convolution of the denoiser and one matrix of a text encoder."""

    def __init__(self, model: Model, adapter: Adapter, path: Path) -> None:
        """Writes the example to `path`."""
        self.model, self.path = model, path
        self.shapes = dict(_some_weights(model))
        made = adapter.example.load()(self.shapes)
        save_file({name: tensor.contiguous() for name, tensor in made.items()}, path)
        self.recognised = adapter.recognise.load()(read_header(path))
        self._patches = adapter.patches.load()

    @contextmanager
    def applied(self, strength: float) -> Iterator[list[str]]:
        """The model with the example; yields names in the file that the model does not know."""
        reader, keys = SafetensorsReader(self.path), AdapterKeys(self.model)
        try:
            patches = list(self._patches(reader, keys))
            with patched(self.model, [(patch, strength) for patch in patches]):
                yield keys.missed
        finally:
            reader.close()

    def digests(self) -> dict[str, str]:
        """The model's weights now."""
        return digests(self.model)

    def finite(self) -> bool:
        """Whether the touched weights are."""
        components = self.model.components()
        parts = [name.partition(".")[::2] for name in self.shapes]
        return all(torch.isfinite(components[part].module.get_parameter(name)).all() for part, name in parts)


def _some_weights(model: Model) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part, component in {**model.parts, **model.text}.items():
        for dimensions in (2, 4):
            named = component.module.named_parameters()
            found = [(n, p) for n, p in named if p.ndim == dimensions and n in component.weights.sources]
            if found:
                name, parameter = min(found, key=lambda pair: (pair[1].numel(), pair[0]))
                yield f"{part}.{name}", tuple(parameter.shape)
