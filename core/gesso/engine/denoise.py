"""From conditioning and noise to clean latents: schedule · sampler · denoiser · guider, kept four things."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gesso.engine.noise import BrownianNoise, IndependentNoise, cpu_noise, initial_noise
from gesso.engine.sampling import ModelSampling, check_schedule
from gesso.engine.types import Cond, CondEntry, Guidance, GuiderFn, Latents, Noise, NoiseSource, Prediction
from gesso.errors import InvalidInputError

if TYPE_CHECKING:
    from gesso.contributions import Guider, Sampler, Scheduler
    from gesso.engine.context import RunContext
    from gesso.families import ModelCallFn
    from gesso.models.model import Model


class Denoiser:
    """`denoise(x, sigma)` for one run: picks the entries that hold now, asks the network, applies guidance."""

    def __init__(
        self,
        model: Model,
        positive: Cond,
        negative: Cond,
        *,
        guider: GuiderFn,
        scale: float,
        options: Any,
        calls: int,
        needs_uncond: bool = False,
        adjust: Callable[[Guidance], Guidance] = lambda guidance: guidance,
    ) -> None:
        """`adjust` may change what the guider is asked, call by call."""
        self.model, self.positive, self.negative = model, positive, negative
        self.guider, self.scale, self.options = guider, scale, options
        self.needs_uncond, self.adjust = needs_uncond, adjust
        self._calls, self._done = calls, 0
        self._call: ModelCallFn = model.family.predict.load()
        self._batched = True
        self._stacked: dict[tuple[int, ...], CondEntry] = {}

    def restart(self) -> None:
        """The next call is the first of a run."""
        self._done = 0

    @torch.inference_mode()
    def __call__(self, x: Tensor, sigma: float) -> Prediction:
        # Prompt editing counts model calls, as A1111 does; a solver that makes more than promised stays at the end.
        progress = min(self._done, self._calls - 1) / self._calls
        positive, negative = self.positive.at(progress), self.negative.at(progress)
        asked = self.adjust(Guidance(sigma, self._done, self._calls, positive, negative, self.scale))
        self._done += 1
        prediction = self.guider(
            self.predict,
            x,
            sigma,
            positive=asked.positive,
            negative=asked.negative,
            scale=asked.scale,
            options=self.options,
        )
        if self.needs_uncond and prediction.uncond_x0 is None and asked.negative:
            # A guider saves this call where its own result needs none of it, as CFG does at scale 1.
            unguided = torch.stack(self.predict(x, sigma, asked.negative)).mean(0)
            prediction = prediction._replace(uncond_x0=unguided)
        return prediction

    def predict(self, x: Tensor, sigma: float, entries: Sequence[CondEntry]) -> list[Tensor]:
        """One x0 per entry: entries of one shape in one call while memory allows, one by one after it did not."""
        once = list({id(entry): entry for entry in entries}.values())
        if len(once) < len(entries):
            known = dict(zip(map(id, once), self.predict(x, sigma, once), strict=True))
            return [known[id(entry)] for entry in entries]
        results: list[Tensor | None] = [None] * len(entries)
        for group in _alike(entries, together=self._batched):
            try:
                parts = self._forward(x, sigma, [entries[i] for i in group])
            except torch.OutOfMemoryError:
                if len(group) == 1:
                    raise
                self._batched = False
                parts = [self._forward(x, sigma, [entries[i]])[0] for i in group]
            for i, part in zip(group, parts, strict=True):
                results[i] = part
        return [r for r in results if r is not None]

    def _forward(self, x: Tensor, sigma: float, entries: Sequence[CondEntry]) -> list[Tensor]:
        batch = len(x)
        stacked = x if len(entries) == 1 else x.repeat(len(entries), *([1] * (x.ndim - 1)))
        x0 = self._call(self.model, stacked, sigma, self._joined(entries, batch))
        return list(x0.split(batch))

    def _joined(self, entries: Sequence[CondEntry], batch: int) -> CondEntry:
        """The entries as one, their tensors stacked for the batch; kept, since most steps use the same ones."""
        key = (batch, *map(id, entries))
        if key not in self._stacked:
            names = entries[0].tensors
            tensors = {name: torch.cat([_expanded(e.tensors[name], batch) for e in entries]) for name in names}
            self._stacked[key] = replace(entries[0], tensors=tensors)
        return self._stacked[key]


def _expanded(tensor: Tensor, batch: int) -> Tensor:
    return tensor.expand(batch, *tensor.shape[1:]) if len(tensor) != batch else tensor


def _alike(entries: Sequence[CondEntry], *, together: bool) -> list[list[int]]:
    """Indices of entries that may share a call: same tensor shapes and the same extras."""
    if not together:
        return [[i] for i in range(len(entries))]
    groups: dict[Any, list[int]] = {}
    for i, entry in enumerate(entries):
        key = (tuple((k, t.shape[1:]) for k, t in entry.tensors.items()), id(entry.extras) if entry.extras else 0)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def model_calls(sampler: Sampler, steps: int) -> int:
    """How often the sampler asks the model in so many steps."""
    return max(1, steps * (2 if sampler.second_order else 1))


def resolve_schedule(
    ctx: RunContext, sampler: Sampler, sampling: ModelSampling, overrides: Mapping[str, Any]
) -> Tensor:
    """The σ of a run: given ones, or the scheduler's ("automatic" = the sampler's own)."""
    if "sigmas" in overrides:
        return check_schedule(overrides["sigmas"])
    name = overrides.get("scheduler", ctx.request.scheduler)
    schedulers = ctx.host.registry("schedulers")
    scheduler: Scheduler = schedulers.get(name or "automatic")
    if scheduler.name == "automatic":
        scheduler = schedulers.get(sampler.default_scheduler)
    steps = int(overrides.get("steps", ctx.request.steps))
    strength = overrides.get("strength")
    begin = None
    if strength is not None:
        steps, begin = shortened(steps, strength, full=overrides.get("full_steps", False), sampler=sampler)
    options = _options(ctx, "scheduler", scheduler.options)
    extra = 1 if sampler.discard_penultimate else 0
    size = overrides.get("size", ctx.size)
    sigmas = scheduler.run.load()(steps + extra, model=sampling, size=size, options=options)
    if extra:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return check_schedule(sigmas[begin:])


def shortened(steps: int, strength: float, *, full: bool, sampler: Sampler) -> tuple[int, int]:
    """(steps the schedule is made for, index in it at which a run of this strength begins), by A1111's rules.

    The schedule is made for all steps and its end is run: one step more than strength × steps, rounded down. With
    `full` it is made for so many that as many as were asked for are run. Samplers that A1111 runs on time steps count
    from the end of their schedule, which may be longer than the steps.
    """
    share = min(strength, 0.999)
    run = int(share * steps) + 1
    if full and strength > 0:
        run, steps = steps, int(steps / share)
    if sampler.timesteps:
        return steps, -max(run, 2)
    return steps, steps - run


def _options(ctx: RunContext, slot: str, record: type[Any] | None) -> Any:
    return None if record is None else ctx.params(slot, record)


def sample(ctx: RunContext, latents: Latents | None, overrides: Mapping[str, Any]) -> Latents:
    """One run of the sampler; see `RunContext.denoise`."""
    if latents is not None and overrides.get("steps") == 0:
        return latents
    model = ctx.loaded()
    sampler: Sampler = ctx.host.registry("samplers").get(overrides.get("sampler") or ctx.request.sampler)
    guider: Guider = ctx.host.registry("guiders").get(overrides.get("guider") or ctx.request.guider)
    size = overrides.get("size", ctx.size)
    sampling = model.sampling.for_size(size)
    sigmas = resolve_schedule(ctx, sampler, sampling, overrides)
    positive, negative = overrides.get("positive", ctx.positive), overrides.get("negative", ctx.negative)
    if positive is None or negative is None:
        raise InvalidInputError("Sampling needs prompts: a stage at 'encode' must set ctx.positive and ctx.negative.")
    denoiser = Denoiser(
        model,
        positive,
        negative,
        guider=guider.run.load(),
        scale=float(overrides.get("cfg_scale", ctx.request.cfg_scale)),
        options=_options(ctx, "guider", guider.options),
        calls=model_calls(sampler, _counted_steps(ctx, overrides, len(sigmas) - 1)),
        needs_uncond=sampler.needs_uncond,
        adjust=lambda guidance: ctx.host.filter("gesso_filter_guidance", guidance, ctx=ctx),
    )
    template = _empty_latents(ctx, size) if latents is None else latents
    seeds: list[int] = overrides.get("seeds", ctx.seeds)
    run = _Run(ctx, sampler, sampling, sigmas, denoiser, template, has_init=latents is not None)
    if not sampler.one_by_one:
        return run(seeds)
    parts = [run([seed], slice(i, i + 1)) for i, seed in enumerate(seeds)]
    return Latents({key: torch.cat([p.streams[key] for p in parts]) for key in parts[0].streams})


def _counted_steps(ctx: RunContext, overrides: Mapping[str, Any], run: int) -> int:
    """The steps prompt editing counts: those that are run, and as in A1111 those asked for where only the end is."""
    return int(overrides.get("steps", ctx.request.steps)) if overrides.get("strength") is not None else run


def start_noise(ctx: RunContext, latents: Latents) -> Latents:
    """See `RunContext.noise`."""
    packed = latents.pack()
    noise, _ = initial_noise(ctx.seeds, tuple(packed.shape[1:]), source=_noise_source(ctx))
    return latents.unpack(noise.to(packed.device))


def _noise_source(ctx: RunContext) -> NoiseSource:
    return ctx.host.choose("gesso_choose_noise_source", ctx=ctx) or cpu_noise


def _empty_latents(ctx: RunContext, size: tuple[int, int]) -> Latents:
    """Zeros shaped as one picture of every stream (batch 1)."""
    width, height = size
    streams = {}
    for stream in ctx.loaded().family.streams:
        down = stream.down[-2:]
        shape = (1, stream.channels, *([1] * (len(stream.down) - 2)), height // down[0], width // down[1])
        streams[stream.name] = torch.zeros(shape, device=ctx.loaded().device)
    return Latents(streams)


class _Run:
    """A sampler's call with everything but the seeds bound."""

    def __init__(
        self,
        ctx: RunContext,
        sampler: Sampler,
        sampling: ModelSampling,
        sigmas: Tensor,
        denoiser: Denoiser,
        template: Latents,
        *,
        has_init: bool,
    ) -> None:
        self.ctx, self.sampler, self.sampling, self.sigmas = ctx, sampler, sampling, sigmas
        self.denoiser, self.template, self.has_init = denoiser, template, has_init

    @torch.inference_mode()
    def __call__(self, seeds: list[int], part: slice = slice(None)) -> Latents:
        sampling, sigmas = self.sampling, self.sigmas
        packed = self.template.pack()
        clean = packed[part] if self.has_init else None
        shape, device = tuple(packed.shape[1:]), packed.device
        drawn = self._noise(seeds, part, shape)
        x = sampling.scale_noise(drawn.start.to(device), drawn.sigma, clean)
        noise = (
            BrownianNoise(
                seeds, shape, sigma_min=_lowest(sigmas), sigma_max=drawn.sigma, device=device, source=drawn.source
            )
            if self.sampler.noise == "brownian"
            else IndependentNoise(drawn.streams, shape, device=device)
        )
        run = self.sampler.run.load()
        options = _options(self.ctx, "sampler", self.sampler.options)
        self.denoiser.restart()
        with self.ctx.wrapped(self.denoiser) as denoise:
            x = run(denoise, x, sigmas, model=sampling, noise=noise, on_step=self.ctx.on_step, options=options)
        return self.template.unpack(x)

    def _noise(self, seeds: list[int], part: slice, shape: tuple[int, ...]) -> Noise:
        """What the run starts from and goes on with, as the plugins leave it."""
        ctx = self.ctx
        source = _noise_source(ctx)
        # The streams go on after the starting noise, so that a seed means what it means to A1111.
        start, streams = initial_noise(seeds, shape, source=source)
        first = ctx.first_index + (part.start or 0)
        noise = Noise(
            seeds=tuple(seeds), indices=tuple(range(first, first + len(seeds))), start=start, streams=tuple(streams),
            source=source, sigma=float(self.sigmas[0]), has_init=self.has_init,
        )  # fmt: skip
        return ctx.host.filter("gesso_filter_noise", noise, ctx=ctx)


def _lowest(sigmas: Tensor) -> float:
    return float(sigmas[sigmas > 0].min())
