"""From a file to a Model: detect, build on meta, convert tensor by tensor from the mapped file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gesso.errors import BadFileError, GessoError
from gesso.families import Family, Part, Plan, Rename, stated_defaults
from gesso.models.detect import Hooks, describe
from gesso.models.model import Component, Model, Source, Weights, changes
from gesso.models.readers import WeightReader
from gesso.operators.types import DequantiseFn, OperatorFn
from gesso.types import Header, Match, ModelRef

MAX_MARKER_BYTES = 32_768
INTEGERS = ("BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64")
"""Formats of counters and indices, whose shapes are not compared."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Where and how: compute dtype of denoiser and text encoders, of the VAE, and the device.

    `operator` is how a person wants the denoiser's weights held; text encoders and VAE stay as their file has them.
    """

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    operator: str = ""


Progress = Callable[[int, int], None]
"""(weights placed, weights in all)"""


def load_model(
    ref: ModelRef,
    reader: WeightReader,
    match: Match,
    hooks: Hooks,
    options: LoadOptions,
    progress: Progress | None = None,
    modules: Mapping[str, tuple[Path, WeightReader]] | None = None,
) -> Model:
    """Build every part of a checkpoint. Raises BadFileError naming what is missing.

    `modules` are text encoders and "vae" from files of their own, in place of the checkpoint's.
    """
    family: Family = hooks.registry("families").get(match.family)
    header = reader.header
    match = with_markers(match, family, reader)
    placing = _Placer(reader, match, hooks, options, progress)
    apart = {name: _Placer(one, match, hooks, options, progress) for name, (_, one) in (modules or {}).items()}
    parts = {name: placing.component(name, part, options.dtype) for name, part in family.parts.items()}
    text = {}
    for use in family.text:
        if match.variant not in use.unless:
            encoder = hooks.registry("text_encoders").get(use.encoder)
            placer = apart.get(use.encoder, placing)
            component = placer.optional(use.encoder, encoder.part, options.dtype, encoder, required=use.required)
            if component is not None:
                text[use.encoder] = component
    vae_record = hooks.registry("vaes").get(family.vae)
    vae = apart.get("vae", placing).component("vae", vae_record.part, options.vae_dtype, record=vae_record)
    return Model(
        ref=ref,
        family=family,
        match=match,
        parts=parts,
        text=text,
        vae=vae,
        sampling=family.sampling.load()(match),
        defaults=replace(family.starts(match.variant), **stated_defaults(header.metadata)),
        preview=header.metadata.get("gesso.preview", family.preview),
        readers=[reader, *(one for _, one in (modules or {}).values())],
        modules={name: path for name, (path, _) in (modules or {}).items()},
    )


def load_vae(path: Path, reader: WeightReader, model: Model, hooks: Hooks, options: LoadOptions) -> Component:
    """An autoencoder alone, of the kind the model's family uses. BadFileError says what the file is instead."""
    record = hooks.registry("vaes").get(model.family.vae)
    placing = _Placer(reader, model.match, hooks, options, None)
    config, plan, _ = placing.built("vae", record.part)
    if not plan:
        raise BadFileError(f"{path} is {describe(reader.header)}, not a VAE for {model.family.label}.")
    wanted = model.family.streams[0].channels
    channels = config.get("latent_channels", wanted)
    if channels != wanted:
        raise BadFileError(
            f"{path} is a VAE with {channels} latent channels; {model.family.label} has {wanted}.",
            hint="Choose one that was made for this kind of model.",
        )
    return placing.component("vae", record.part, options.vae_dtype, record)


def with_markers(match: Match, family: Family, reader: WeightReader) -> Match:
    """The match with the values of the family's marker tensors in its details."""
    found = {}
    for name in family.markers:
        info = reader.header.tensors.get(name)
        if info is not None and info.end - info.start <= MAX_MARKER_BYTES:
            found[name] = tuple(float(v) for v in reader.read(name).data.double().flatten().tolist())
    return match.model_copy(update={"details": {**match.details, **found}}) if found else match


class _Placer:
    def __init__(
        self, reader: WeightReader, match: Match, hooks: Hooks, options: LoadOptions, progress: Progress | None
    ) -> None:
        self.reader, self.match, self.hooks, self.options, self.progress = reader, match, hooks, options, progress
        self._operators: dict[str, tuple[OperatorFn, DequantiseFn | None]] = {}
        self._placed = 0
        if options.operator:
            hooks.registry("operators").get(options.operator)  # an unknown one is said before anything is read

    def component(self, name: str, part: Part, dtype: torch.dtype, record: Any = None) -> Component:
        built = self.optional(name, part, dtype, record, required=True)
        assert built is not None
        return built

    def optional(
        self, name: str, part: Part, dtype: torch.dtype, record: Any = None, *, required: bool
    ) -> Component | None:
        """The built part; None when the file does not hold it and it is not required."""
        config, plan, module = self.built(name, part)
        if not plan or module is None:
            if not required:
                return None
            raise BadFileError(f"The file holds no {name}.", hint="Choose one separately, or a complete checkpoint.")
        weights = Weights(module, dtype, self.options.device)
        names = {n for n, _ in module.named_parameters()} | {n for n, _ in module.named_buffers()}
        for rename in plan:
            if rename.target not in names:
                raise BadFileError(f"{rename.source!r} has no place in the {name} ({rename.target}).")
            _check_shape(module, rename, self.reader.header)
            weights.place(self._source(rename, self.options.operator if record is None else ""))
            if changes(rename) or self.reader.header.tensors[rename.source].format != _format_of(dtype):
                self.reader.release([rename.source])
            self._step()
        _refuse_meta(name, module)
        module.to(self.options.device)
        return Component(name, module, config, weights, record)

    def built(self, name: str, part: Part) -> tuple[dict[str, Any], Plan, torch.nn.Module | None]:
        """Configuration, plan and the module on meta. They come from the file, so any failure is the file's."""
        try:
            config = part.config.load()(self.reader.header, self.match)
            plan = part.plan.load()(self.reader.header, self.match, config)
            return config, plan, part.build.load()(config).eval().requires_grad_(False) if plan else None
        except GessoError:
            raise
        except Exception as error:
            raise BadFileError(
                f"The {name} cannot be built from what the file says of it ({type(error).__name__}: {error}).",
                hint="The file is damaged or of a kind gesso does not know yet.",
            ) from error

    def _source(self, rename: Rename, wanted: str) -> Source:
        """The operator a plugin chooses for a weight, else the first that reads its format, `plain` before all."""
        name, info = rename.source, self.reader.header.tensors[rename.source]
        chosen = self.hooks.choose("gesso_choose_operator", name=name, info=info, wanted=wanted)
        operator, dequantise = self._operator(chosen or self._reads(name, info.format))
        return Source(rename, self.reader, operator, dequantise, self._operator("plain")[0])

    def _reads(self, name: str, stored: str) -> str:
        operators = list(self.hooks.registry("operators"))
        reading: list[str] = sorted((o.name for o in operators if stored in o.formats), key=lambda n: n != "plain")
        if not reading:
            raise BadFileError(
                f"{name!r} is stored as {stored}, which no operator here reads.",
                hint="Operators come with plugins: gesso-gguf, gesso-bnb and others.",
            )
        return reading[0]

    def _operator(self, name: str) -> tuple[OperatorFn, DequantiseFn | None]:
        if name not in self._operators:
            record = self.hooks.registry("operators").get(name)
            self._operators[name] = record.build.load(), record.dequantise.load() if record.dequantise else None
        return self._operators[name]

    def _step(self) -> None:
        self._placed += 1
        if self.progress is not None and self._placed % 32 == 0:
            self.progress(self._placed, len(self.reader.header.tensors))


def _check_shape(module: torch.nn.Module, rename: Rename, header: Header) -> None:
    """Compare sizes before anything is read, so that a wrong file ends in a sentence and not in torch."""
    parent, _, leaf = rename.target.rpartition(".")
    owner = module.get_submodule(parent)
    expected = owner._parameters.get(leaf) if leaf in owner._parameters else owner._buffers.get(leaf)
    found = header.tensors[rename.source]
    if expected is None or found.format in INTEGERS:
        return
    planned = _planned_shape(rename, found.shape)
    if planned is None or planned != tuple(expected.shape):
        raise BadFileError(
            f"{rename.source!r} has shape {list(found.shape)} where {list(expected.shape)} is needed.",
            hint="The file is damaged or of a kind gesso does not know yet.",
        )


def _planned_shape(rename: Rename, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """What a plan's line makes of a shape; None when the line does not fit it."""
    if rename.rows is not None:
        start, stop = rename.rows
        if not shape or stop > shape[0]:
            return None
        shape = (stop - start, *shape[1:])
    if rename.transform == "squeeze":
        return shape[:2] if all(side == 1 for side in shape[2:]) else None
    if rename.transform == "transpose":
        return shape[::-1] if len(shape) == 2 else None
    return shape


def _format_of(dtype: torch.dtype) -> str:
    return {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}.get(dtype, "")


def _refuse_meta(name: str, module: torch.nn.Module) -> None:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    missing = [n for n, t in tensors if t.is_meta]
    if missing:
        raise BadFileError(
            f"The {name} is incomplete: {len(missing)} tensors are missing, such as {missing[0]!r}.",
            hint="The file is truncated or of a kind gesso does not know yet.",
        )
