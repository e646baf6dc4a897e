"""One manager decides which models are in memory. Least recently used ones go when room is wanted."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.engine.devices import pick_device, pick_dtype, pick_vae_dtype
from gesso.models.detect import detect
from gesso.models.library import Library
from gesso.models.loading import LoadOptions, load_model, load_vae
from gesso.models.model import Component, Model
from gesso.models.modules import find_modules
from gesso.models.readers import open_weights
from gesso.types import ModelRef

if TYPE_CHECKING:
    from gesso.plugins.host import Host

Progress = Callable[[str, int, int], None]


class Residency:
    """Loaded models by content hash, at most `limit` at a time."""

    def __init__(
        self,
        host: Host,
        library: Library,
        *,
        device: str = "auto",
        dtype: str = "auto",
        operator: str = "",
        limit: int = 1,
    ) -> None:
        self.host, self.library = host, library
        self.device = pick_device(device)
        self._dtype, self._operator, self._limit = dtype, operator, limit
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._held: dict[str, int] = {}
        self._vae: tuple[tuple[str, str, str], Component] | None = None
        self._lock = threading.RLock()

    def acquire(
        self, ref: ModelRef, progress: Progress | None = None, given: Mapping[str, ModelRef] | None = None
    ) -> Model:
        """The model, loaded if need be, and held until as many `release` calls.

        `given` are files somebody chose for text encoders and VAE; see `find_modules`.
        """
        with self._lock:
            entry = self.library.find(ref)
            key = str(entry.path)
            found = find_modules(entry, given or {}, self.library, self.host)
            modules = {name: module.path for name, module in found.items()}
            model = self._models.get(key)
            if model is not None and model.modules != modules and not self._held.get(key):
                self._models.pop(key).close()
                model = None
            if model is None:
                self._make_room()
                model = self._models[key] = self._load(ref, entry.path, progress, modules)
            self._models.move_to_end(key)
            self._held[key] = self._held.get(key, 0) + 1
            return model

    def vae(self, ref: ModelRef, model: Model) -> Component:
        """An autoencoder from a file of its own, in place of the model's. The last one is kept in memory."""
        with self._lock:
            path = self.library.find(ref).path
            if model.modules.get("vae") == path:
                return model.vae
            key = (ref.hash or str(path), model.family.vae, str(model.vae.dtype))
            if self._vae is None or self._vae[0] != key:
                self._vae = None
                reader = open_weights(path, self.library.header(path), self.host)
                options = LoadOptions(self.device, model.vae.dtype, model.vae.dtype, self._operator)
                self._vae = key, load_vae(path, reader, model, self.host, options)
            return self._vae[1]

    def release(self, ref: ModelRef) -> None:
        """One use less; the model stays until its room is wanted."""
        with self._lock:
            key = str(self.library.find(ref).path)
            self._held[key] = max(0, self._held.get(key, 0) - 1)

    def unload(self) -> int:
        """Forget every model nobody holds; returns how many."""
        with self._lock:
            idle = [key for key in self._models if not self._held.get(key)]
            for key in idle:
                self._models.pop(key).close()
            self._vae = None
            gc.collect()
            return len(idle)

    def loaded(self) -> list[Model]:
        return list(self._models.values())

    def _make_room(self) -> None:
        while len(self._models) >= self._limit:
            idle = next((key for key in self._models if not self._held.get(key)), None)
            if idle is None:
                return
            self._models.pop(idle).close()
            gc.collect()

    def _load(self, ref: ModelRef, path: Path, progress: Progress | None, modules: Mapping[str, Path]) -> Model:
        header = self.library.header(path)
        match = detect(header, self.host, str(path))
        reader = open_weights(path, header, self.host)
        parameters = sum(_count(info.shape) for info in header.tensors.values())
        dtype = pick_dtype(self.device, parameters, self._dtype)
        options = LoadOptions(self.device, dtype, pick_vae_dtype(self.device, dtype), self._operator)
        report = None if progress is None else (lambda done, total: progress("load", done, total))
        apart = {name: (p, open_weights(p, self.library.header(p), self.host)) for name, p in modules.items()}
        return load_model(ref, reader, match, self.host, options, report, apart)


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total
