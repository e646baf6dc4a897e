# ruff: noqa: E501 - the lines of the plugins are texts
"""Deliberately wrong plugins: check → files of a plugins folder. Each breaks the one rule it is named after.

Read by test_wrong_plugins.py as text; nothing here is imported as a module of its own.
"""

HEAD = """from gesso import (
    Adapter, AdapterExampleFn, AdapterMatch, AdapterPatchesFn, BuildFn, Check, ConfigFn, CoreParams, Defaults, DetectFn, EncodePromptFn, Family, Guider, GuiderFn, Match,
    ModelCallFn, Operator, OperatorFn, Params, Part, PlanFn, Prediction, RecogniseAdapterFn, Record, Route, RouteFn,
    Sampler, SamplerFn, SamplingFn, ScheduleFn, Scheduler, SettingsSection, Stage, StageFn, Step, Tab, TabFn, Task,
    TaskFn, hookimpl, lazy, param,
)
api = "1"
"""


def _sampler(name: str, *changes: tuple[str, str], record: str = "") -> str:
    """Euler's method with the given lines replaced."""
    text = f'''{HEAD}
@hookimpl
def gesso_register_samplers(registry):
    registry.add(Sampler(name="{name}", label="Wrong one", run=lazy("{name}:run", SamplerFn){record}))


def run(denoise, x, sigmas, *, model, noise, on_step, options):
    values = sigmas.tolist()
    for i, (sigma, following) in enumerate(zip(values, values[1:])):
        x0 = denoise(x, sigma).x0
        x = x + (x - x0) / sigma * (following - sigma)
        on_step(Step(i, len(values) - 1, sigma, following, x, x0))
    return x
'''
    return _changed(text, changes)


def _changed(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def _schedule(name: str, body: str) -> str:
    return f'''{HEAD}
@hookimpl
def gesso_register_schedulers(registry):
    registry.add(Scheduler(name="{name}", label="Wrong one", run=lazy("{name}:run", ScheduleFn)))


def run(n, *, model, size, options):
    low, high = model.sigma_min, model.sigma_max
    values = [high * (low / high) ** (i / max(n - 1, 1)) for i in range(n)] + [0.0]
    {body}
'''


def _guider(name: str, body: str) -> str:
    return f'''{HEAD}
@hookimpl
def gesso_register_guiders(registry):
    registry.add(Guider(name="{name}", label="Wrong one", run=lazy("{name}:run", GuiderFn)))


def run(predict, x, sigma, *, positive, negative, scale, options):
    parts = predict(x, sigma, [*positive, *negative])
    cond, uncond = parts[0], parts[-1]
    {body}
'''


def _record(name: str, field: str, *, more: str = "", imports: str = "") -> str:
    return f'''{HEAD}{imports}

class Wrong(Params):
    """A wrong record."""
    {field}
{more}

@hookimpl
def gesso_register_params(registry):
    registry.add(Record(name="{name}", label="Wrong one", params=Wrong))
'''


def _operator(name: str, formats: str, body: str) -> str:
    return f'''{HEAD}
@hookimpl
def gesso_register_operators(registry):
    registry.add(Operator(name="{name}", label="Wrong one", formats={formats}, build=lazy("{name}:build", OperatorFn)))


def build(module, name, weight, *, dtype, device):
    import torch
    value = weight.data.to(device=device, dtype=dtype)
    {body}
    module._parameters[name] = torch.nn.Parameter(value, requires_grad=False)
    return module
'''


def _adapter(name: str, *changes: tuple[str, str]) -> str:
    """A kind that adds what the file holds, with the given lines replaced."""
    text = f'''{HEAD}
@hookimpl
def gesso_register_adapters(registry):
    registry.add(
        Adapter(
            name="{name}", label="Wrong one", recognise=lazy("{name}:recognise", RecogniseAdapterFn),
            patches=lazy("{name}:patches", AdapterPatchesFn), example=lazy("{name}:example", AdapterExampleFn),
        )
    )


def recognise(header):
    return AdapterMatch() if header.tensors and all(n.endswith(".{name}") for n in header.tensors) else None


def patches(reader, keys):
    from gesso import AdapterPatch
    for name in reader.header.tensors:
        for target in keys.find(name.removesuffix(".{name}")):
            change = reader.read(name).data
            yield AdapterPatch(target, lambda weight, strength, change=change: weight + strength * change)


def example(shapes):
    import torch
    return dict((name + ".{name}", torch.full(shape, 0.1)) for name, shape in shapes.items())
'''
    return _changed(text, changes)


def _task(name: str, body: str) -> str:
    return f'''{HEAD}
class Wrong(Params):
    """A wrong record."""
    amount: int = param(3, ge=0, le=9, label="Amount")


@hookimpl
def gesso_register_tasks(registry):
    registry.add(Task(name="{name}", label="Wrong one", params=Wrong, run=lazy("{name}:run", TaskFn)))


def run(ctx, params):
    for i in range(3):
        {body}
    return dict(ok=True)
'''


def _route(name: str, body: str) -> str:
    return f'''{HEAD}
BUILT = []


@hookimpl
def gesso_register_routes(registry):
    registry.add(Route(name="{name}", label="Wrong one", build=lazy("{name}:build", RouteFn)))


def build(service):
    from fastapi import APIRouter
    router = APIRouter()
    {body}
    return router
'''


def _family(name: str, *changes: tuple[str, str]) -> str:
    text = f'''{HEAD}
@hookimpl
def gesso_register_families(registry):
    part = Part(
        config=lazy("{name}:config", ConfigFn), plan=lazy("{name}:plan", PlanFn), build=lazy("{name}:build", BuildFn)
    )
    registry.add(
        Family(
            name="{name}", label="Wrong one", parts=dict(net=part), text=(), vae="sd",
            detect=lazy("{name}:detect", DetectFn), sampling=lazy("{name}:sampling", SamplingFn),
            encode_prompt=lazy("{name}:encode_prompt", EncodePromptFn), predict=lazy("{name}:predict", ModelCallFn),
            defaults=dict([("", Defaults(sampler="euler"))]),
        )
    )


def config(header, match): return dict()
def plan(header, match, config): return ()
def build(config): return None
def encode_prompt(model, prompts, *, size, role, options): return None
def predict(model, x, sigma, cond): return x
def detect(header): return []
def sampling(match):
    from gesso import DiscreteSampling
    made = DiscreteSampling.from_betas()
    return made
'''
    return _changed(text, changes)


_REGISTER = f"{HEAD}\n@hookimpl\ndef gesso_register_samplers(registry):\n    "

WRONG: dict[str, dict[str, str]] = {
    "probe": {"": 'raise ImportError("this one cannot be imported")\n'},
    "light_imports": {"": f"{HEAD}import scipy\n"},
    "import_time": {
        "": f"{HEAD}import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end:\n    pass\n"
    },
    "import_memory": {"": f"{HEAD}TABLE = b'x' * (100 * 2**20)\n"},
    "no_network": {
        "": f"{HEAD}import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError:\n    pass\n"
    },
    "no_subprocess": {"": f"{HEAD}import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', ''])\n"},
    "no_files_written": {
        "": f"{HEAD}from pathlib import Path\nPath(__file__).with_suffix('.log').write_text('I was here')\n"
    },
    "no_leftovers": {"": f"{HEAD}import logging\nlogging.getLogger().setLevel(5)\n"},
    "light_references": {
        "plugin": f"""'A wrong plugin.'
{HEAD}
@hookimpl
def gesso_register_checks(registry):
    registry.add(Check(name="bad_light_references", run=lazy(".code:check", object)))
""",
        "code": "import torch\n\n\ndef check():\n    return True, torch.__version__\n",
    },
    "registers": {"": f"{_REGISTER}raise RuntimeError('not today')\n"},
    "no_clashes": {
        "": f'{_REGISTER}registry.add(Sampler(name="euler", run=lazy("bad_no_clashes:run", SamplerFn)))\n'
        "def run(denoise, x, sigmas, *, model, noise, on_step, options):\n    return x\n"
    },
    "same_in_any_order": {
        "": f'''{HEAD}import sys
WITH_OTHERS = "gesso_builtin.txt2img.plugin" in sys.modules


@hookimpl
def gesso_register_settings(registry):
    name = "bad_with_others" if WITH_OTHERS else "bad_alone"
    registry.add(SettingsSection(name=name, label="Wrong one", params=Wrong))


class Wrong(Params):
    """Nothing."""
'''
    },
    "leaves_host": {"": f'{_REGISTER}CoreParams.model_fields["steps"].default = 33\n'},
    "described": {"": _record("bad_described", "strength: float = param(0.5, ge=0, le=1, infotext='Wrong described')")},
    "lazy_resolves": {
        "": f'{_REGISTER}registry.add(Sampler(name="bad_lazy", label="Wrong one", run=lazy("bad_lazy_resolves:gone", SamplerFn)))\n'
    },
    "lazy_signatures": {
        "": f'{_REGISTER}registry.add(Sampler(name="bad_sign", label="Wrong one", run=lazy("bad_lazy_signatures:run", SamplerFn)))\n'
        "def run(denoise, x, sigmas, *, model, noise, options):\n    return denoise(x, float(sigmas[0])).x0\n"
    },
    "params_defaults": {
        "": _record(
            "bad_params_defaults",
            "amount: Any = param('few', label='Amount', infotext='Wrong amount')",
            imports="from typing import Any\n",
        )
    },
    "params_json": {
        "": _record(
            "bad_params_json",
            "mode: Literal['soft', 'hard'] = param('soft', label='Mode', infotext='Wrong mode')",
            imports="from typing import Literal\nfrom pydantic import field_serializer\n",
            more="    @field_serializer('mode')\n    def shout(self, value: str) -> str:\n        return value.upper()\n",
        )
    },
    "params_infotext": {"": _record("bad_params_infotext", "amount: int = param(1, ge=0, le=9, label='Amount')")},
    "params_cli": {
        "": _record(
            "bad_params_cli",
            "amount: int = param(1, ge=0, le=9, label='Amount', changes_picture=False)",
            imports="from pydantic import field_validator\n",
            more="    @field_validator('amount', mode='before')\n    @classmethod\n    def strict(cls, value):\n"
            "        if isinstance(value, str):\n            raise ValueError('no text, please')\n        return value\n",
        )
    },
    "params_api": {
        "": _record(
            "bad_params_api",
            "amount: int = param(1, ge=0, le=9, label='Amount', infotext='Wrong api', api='the amount')",
        )
    },
    "params_a1111": {
        "": _record(
            "bad_params_a1111",
            "amount: int = param(1, ge=0, le=9, label='Amount', infotext='Wrong a1111', api='wrong_amount')",
            more="    def to_a1111(self):\n        return {'wrong_amount': self.amount + 1}\n",
        )
    },
    "params_upgrade": {
        "": _record(
            "bad_params_upgrade",
            "amount: int = param(1, ge=0, le=9, label='Amount', infotext='Wrong upgrade')",
            more="    version = 2\n",
        )
        .replace("    version = 2", "    version: ClassVar[int] = 2")
        .replace(HEAD, f"{HEAD}from typing import ClassVar\n")
    },
    "sampler_finite": {
        "": _sampler("bad_sampler_finite", ("    return x\n", "    return x / 0.0 if len(values) == 2 else x\n"))
    },
    "sampler_dtype": {"": _sampler("bad_sampler_dtype", ("    values =", "    x = x.float()\n    values ="))},
    "sampler_converges": {"": _sampler("bad_sampler_converges", ("sigma).x0", "sigma).x0 * 1.1"))},
    "sampler_fresh_noise": {
        "": _sampler(
            "bad_sampler_fresh_noise",
            ("        on_step(", "        x = x + noise(sigma, following) * following * 0.1\n        on_step("),
        )
    },
    "sampler_seed": {
        "": _sampler(
            "bad_sampler_seed",
            (
                "        on_step(",
                "        import torch\n        x = x + following * 0.1 * torch.rand(())\n        on_step(",
            ),
            record=", deterministic=False",
        )
    },
    "sampler_batch": {
        "": _sampler("bad_sampler_batch", ("sigma).x0\n", "sigma).x0\n        x0 = x0 + 0.01 * (x0 - x0.mean(0))\n"))
    },
    "sampler_steps": {
        "": _sampler(
            "bad_sampler_steps",
            ("        on_step(", "        try:\n            on_step("),
            ("x, x0))\n", "x, x0))\n        except BaseException:\n            pass\n"),
        )
    },
    "sampler_inputs": {"": _sampler("bad_sampler_inputs", ("x = x + (x - x0) / sigma", "x += (x - x0) / sigma"))},
    "sampler_no_wait": {
        "": _sampler(
            "bad_sampler_no_wait", ("        on_step(", "        assert x.max().item() < 1e9\n        on_step(")
        )
    },
    "schedule_length": {
        "": _schedule("bad_schedule_length", "return model.sigmas.new_tensor([*values[:-1], values[-2] / 2, 0.0])")
    },
    "schedule_decreasing": {
        "": _schedule("bad_schedule_decreasing", "return model.sigmas.new_tensor([*values[:-1], values[-2] / 2])")
    },
    "schedule_start": {
        "": _schedule("bad_schedule_start", "return model.sigmas.new_tensor([value * 0.05 for value in values])")
    },
    "guider_scale_one": {
        "": _guider("bad_guider_scale_one", "return Prediction(uncond + (scale + 1) * (cond - uncond), cond, uncond)")
    },
    "guider_finite": {
        "": _guider("bad_guider_finite", "return Prediction((uncond + scale * (cond - uncond)).float(), cond, uncond)")
    },
    "guider_clock": {
        "": _guider(
            "bad_guider_clock",
            "uncond = predict(x, sigma * 0.5, negative)[0]\n    return Prediction(uncond + scale * (cond - uncond), cond, uncond)",
        )
    },
    "operator_linear": {"": _operator("bad_operator_linear", '("F32",)', "value = value * 1.2")},
    "operator_layers": {
        "": _operator(
            "bad_operator_layers", '("F16",)', 'if not hasattr(module, "in_features"):\n        return module'
        )
    },
    "family_detection": {
        "": _family(
            "bad_family_detection",
            (
                "detect(header): return []",
                "detect(header): return [Match(family='bad_family_detection', variant='', confidence=0.01)]",
            ),
        )
    },
    "family_references": {"": _family("bad_family_references", ('vae="sd"', 'vae="nobody"'))},
    "family_sampling": {
        "": _family(
            "bad_family_sampling", ("    return made", "    made.sigmas = made.sigmas.flip(0)\n    return made")
        )
    },
    "stage_anchor": {
        "": f"""{HEAD}
@hookimpl
def gesso_register_stages(registry):
    registry.add(Stage(name="bad_stage", label="Wrong one", anchor="somewhere", run=lazy("bad_stage_anchor:run", StageFn)))


def run(ctx):
    pass
"""
    },
    "tab_builds": {
        "": f"""{HEAD}
BUILT = []


@hookimpl
def gesso_register_tabs(registry):
    registry.add(Tab(name="bad_tab", label="Wrong one", build=lazy("bad_tab_builds:build", TabFn)))


def build(page):
    import gradio as gr
    if BUILT:
        raise RuntimeError("already built")
    BUILT.append(gr.Markdown("once"))
"""
    },
    "route_builds": {
        "": _route(
            "bad_route_builds",
            "if BUILT:\n        raise RuntimeError('already built')\n    BUILT.append(router)\n    router.get('/')(lambda: 1)",
        )
    },
    "route_answers": {
        "": _route(
            "bad_route_answers",
            "\n    @router.get('/count')\n    def count() -> int:\n        return 1 // len(BUILT)\n",
        )
    },
    "task_runs": {"": _task("bad_task_runs", "ctx.progress('wrong', 2 * i, 3)")},
    "task_cancel": {
        "": _task(
            "bad_task_cancel",
            "try:\n            ctx.progress('wrong', i, 3)\n        except Exception:\n            pass",
        )
    },
    "adapter_detection": {
        "": _adapter(
            "bad_adapter_detection",
            (
                "AdapterMatch() if header.tensors and all(",
                "AdapterMatch(confidence=0.01) if any(True for n in header.tensors) or all(",
            ),
        )
    },
    "adapter_applies": {
        "": _adapter(
            "bad_adapter_applies", ("strength * change)\n", "strength * change)\n        break  # one will do\n")
        )
    },
    "locales": {
        "plugin": f"'A wrong plugin.'\n{HEAD}",
        "locales/en.json": '{"bad_locales.title": "Wrong", "bad_locales.said": "{count} pictures"}',
        "locales/de.json": '{"bad_locales.title": "Falsch"}',
    },
    "demo_picture": {
        "": f"""{HEAD}
@hookimpl
def gesso_register_stages(registry):
    registry.add(Stage(name="bad_demo", label="Wrong one", anchor="decode", run=lazy("bad_demo_picture:run", StageFn)))


def run(ctx):
    raise RuntimeError("no picture today")
"""
    },
    "weights_restored": {
        "": f"""{HEAD}from contextlib import contextmanager


@hookimpl
def gesso_wrap_model(ctx, model):
    @contextmanager
    def around():  # too little to be seen in a picture
        for component in model.parts.values():
            weights = next(component.module.parameters()).data.view(-1)
            weights[0] = weights[0].nextafter(weights[0] + 1)
        yield

    return around()
"""
    },
    "no_patches": {
        "plugin": f"""'A wrong plugin.'
{HEAD}
@hookimpl
def gesso_register_stages(registry):
    registry.add(Stage(name="bad_patch", label="Wrong one", anchor="prepare", run=lazy(".code:run", StageFn)))
""",
        "code": "import functools\nimport torch\n\noriginal = torch.nn.Linear.forward\n\n\n"
        "@functools.wraps(original)\ndef forward(self, x):\n    return original(self, x)\n\n\n"
        "torch.nn.Linear.forward = forward\n\n\ndef run(ctx):\n    pass\n",
    },
}
