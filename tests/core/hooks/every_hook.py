"""A local plugin with an implementation of every hook; each writes its own name, and what it was given, into CALLS."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from gesso import (
    Asset,
    Check,
    Command,
    EncodeImageFn,
    FilenameToken,
    FilenameTokenFn,
    Guider,
    GuiderFn,
    ImageFormat,
    Locale,
    MetadataReader,
    Panel,
    PanelFn,
    Params,
    Prediction,
    Preview,
    PreviewFn,
    ReadMetadataFn,
    Record,
    Route,
    RouteFn,
    Sampler,
    SamplerFn,
    ScheduleFn,
    Scheduler,
    SettingsSection,
    Stage,
    StageFn,
    Task,
    TaskFn,
    UpscaleFn,
    Upscaler,
    hookimpl,
    lazy,
    param,
)  # fmt: skip

api = "1"
CALLS: Counter[str] = Counter()


class Touch(Params):
    """The plugin's record."""

    strength: float = param(0.0, ge=0, le=1, infotext="Touch strength")


def _seen(hook: str) -> None:
    CALLS[hook] += 1


@hookimpl
def gesso_register_settings(registry):
    _seen("gesso_register_settings")
    registry.add(SettingsSection(name="touch", params=Touch))


@hookimpl
def gesso_register_checks(registry):
    _seen("gesso_register_checks")
    registry.add(Check(name="touch", run=lazy("every_hook:check", object)))


def check():
    return True, "touched"


@hookimpl
def gesso_on_startup(process):
    _seen("gesso_on_startup")


@hookimpl
def gesso_on_shutdown(process):
    _seen("gesso_on_shutdown")


@hookimpl
def gesso_register_params(registry):
    _seen("gesso_register_params")
    registry.add(Record(name="touch", params=Touch))


@hookimpl(phase="style")
def gesso_filter_prompt(prompt, request):
    _seen("gesso_filter_prompt")
    return prompt + ", touched"


@hookimpl
def gesso_choose_prompt_reading(prompt, role, steps):
    _seen("gesso_choose_prompt_reading")


@hookimpl
def gesso_filter_request(request, service):
    _seen("gesso_filter_request")
    assert service.host.registry("params").find("touch") is not None
    return request.model_copy(update={"steps": request.steps + 1})


@hookimpl
def gesso_filter_reuse(fields, pairs, service):
    _seen("gesso_filter_reuse")
    return {**fields, "prompt": fields["prompt"].removesuffix(", touched")}


@hookimpl
def gesso_filter_seeds(seeds, ctx):
    _seen("gesso_filter_seeds")


@hookimpl
def gesso_choose_noise_source(ctx):
    _seen("gesso_choose_noise_source")


@hookimpl
def gesso_filter_noise(noise, ctx):
    _seen("gesso_filter_noise")


@hookimpl
def gesso_filter_guidance(guidance, ctx):
    _seen("gesso_filter_guidance")


@hookimpl
def gesso_register_model_folders(registry):
    _seen("gesso_register_model_folders")


@hookimpl
def gesso_register_families(registry):
    _seen("gesso_register_families")


@hookimpl
def gesso_register_text_encoders(registry):
    _seen("gesso_register_text_encoders")


@hookimpl
def gesso_register_vaes(registry):
    _seen("gesso_register_vaes")


@hookimpl
def gesso_register_operators(registry):
    _seen("gesso_register_operators")


@hookimpl
def gesso_choose_header(path, header):
    _seen("gesso_choose_header")


@hookimpl
def gesso_choose_weight_reader(path, header):
    _seen("gesso_choose_weight_reader")


@hookimpl
def gesso_choose_family(header, candidates):
    _seen("gesso_choose_family")
    return candidates[0]


@hookimpl
def gesso_choose_operator(name, info, wanted):
    _seen("gesso_choose_operator")


@hookimpl
def gesso_choose_prompt_parser(ctx, role, steps):
    _seen("gesso_choose_prompt_parser")


@hookimpl
def gesso_register_samplers(registry):
    _seen("gesso_register_samplers")
    registry.add(Sampler(name="touch", run=lazy("every_hook:none", SamplerFn)))


@hookimpl
def gesso_register_schedulers(registry):
    _seen("gesso_register_schedulers")
    registry.add(Scheduler(name="touch", run=lazy("every_hook:none", ScheduleFn)))


@hookimpl
def gesso_register_guiders(registry):
    _seen("gesso_register_guiders")
    registry.add(Guider(name="touch", run=lazy("every_hook:none", GuiderFn)))


@hookimpl
def gesso_choose_init_latents(ctx):
    _seen("gesso_choose_init_latents")


@hookimpl
def gesso_wrap_model(ctx, model):
    @contextmanager
    def around():
        _seen("gesso_wrap_model")
        yield
        _seen("undone: gesso_wrap_model")

    return around()


@hookimpl
def gesso_wrap_denoise(ctx, denoise):
    @contextmanager
    def around():
        _seen("gesso_wrap_denoise")

        def brighter(x, sigma):
            made = denoise(x, sigma)
            return Prediction(made.x0 + 0.5, made.cond_x0, made.uncond_x0)

        yield brighter
        _seen("undone: gesso_wrap_denoise")

    return around()


@hookimpl
def gesso_on_step(ctx, step):
    _seen("gesso_on_step")
    ctx.metric("touch.sigma", step.sigma, "1")


@hookimpl
def gesso_register_stages(registry):
    _seen("gesso_register_stages")
    registry.add(Stage(name="touch", anchor="composite", run=lazy("every_hook:stage", StageFn)))


def stage(ctx):
    _seen("stage")
    assert ctx.params("touch", Touch).strength == 0.5


@hookimpl
def gesso_register_upscalers(registry):
    _seen("gesso_register_upscalers")
    registry.add(Upscaler(name="touch", run=lazy("every_hook:none", UpscaleFn)))


@hookimpl
def gesso_register_previews(registry):
    _seen("gesso_register_previews")
    registry.add(Preview(name="touch", run=lazy("every_hook:none", PreviewFn)))


@hookimpl
def gesso_filter_image(output, ctx):
    _seen("gesso_filter_image")
    output.data = output.data.transpose(0)
    return output


@hookimpl
def gesso_filter_metadata(pairs, output, ctx):
    _seen("gesso_filter_metadata")
    return {**pairs, "Touch seen": "yes, it was: twice"}


@hookimpl
def gesso_register_formats(registry):
    _seen("gesso_register_formats")
    registry.add(
        ImageFormat(name="touch", mime="image/touch", suffix=".touch", encode=lazy("every_hook:encode", EncodeImageFn))
    )


def encode(image, infotext, options):
    return b"touched"


@hookimpl
def gesso_register_filename_tokens(registry):
    _seen("gesso_register_filename_tokens")
    registry.add(FilenameToken(name="touch", run=lazy("every_hook:token", FilenameTokenFn)))


def token(output, arguments):
    return "touched"


@hookimpl
def gesso_register_metadata_readers(registry):
    _seen("gesso_register_metadata_readers")
    registry.add(MetadataReader(name="touch", read=lazy("every_hook:read", ReadMetadataFn)))


def read(items, size):
    return "touched" if "touch" in items else None


@hookimpl
def gesso_register_tabs(registry):
    _seen("gesso_register_tabs")


@hookimpl
def gesso_register_panels(registry):
    _seen("gesso_register_panels")
    registry.add(Panel(name="touch", build=lazy("every_hook:none", PanelFn)))


@hookimpl
def gesso_register_assets(registry):
    _seen("gesso_register_assets")
    registry.add(Asset(name="touch", file=Path("touch.css")))


@hookimpl
def gesso_register_locales(registry):
    _seen("gesso_register_locales")
    registry.add(Locale(name="touch", folder=Path(__file__).parent))


@hookimpl
def gesso_on_job_event(job, event):
    _seen("gesso_on_job_event")


@hookimpl
def gesso_register_adapters(registry):
    _seen("gesso_register_adapters")


@hookimpl
def gesso_register_tasks(registry):
    _seen("gesso_register_tasks")
    registry.add(Task(name="touch", params=Touch, run=lazy("every_hook:task", TaskFn)))


def task(ctx, params):
    _seen("task")
    return {"strength": params.strength}


@hookimpl
def gesso_register_routes(registry):
    _seen("gesso_register_routes")
    registry.add(Route(name="touch", build=lazy("every_hook:none", RouteFn)))


@hookimpl
def gesso_register_commands(registry):
    _seen("gesso_register_commands")
    registry.add(Command(name="touch", help="Touch.", app=lazy("every_hook:none", object)))


def none(*args, **kwargs):
    raise AssertionError("not called here")
