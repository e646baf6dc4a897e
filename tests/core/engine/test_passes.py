"""A pass of its own within a job: afterwards all is as before, and wrappers of the model are entered anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gesso.models.adapters import AdapterPatch, AdapterTarget, patched
from gesso.testing import local_plugins
from gesso.testing.adapters import digests
from gesso.testing.studio import Studio

PLUGIN = '''
"""Two passes more, and whatever wraps the model told of."""

from contextlib import contextmanager

from gesso import Stage, StageFn, hookimpl, lazy

api = "1"
SEEN = []


@hookimpl
def gesso_register_stages(registry):
    registry.add(Stage(name="again", label="Again", anchor="refine", run=lazy("passes:run", StageFn)))


@hookimpl
def gesso_wrap_model(ctx, model):
    @contextmanager
    def around():
        SEEN.append(f"in {ctx.prompt}")
        yield
        SEEN.append(f"out {ctx.prompt}")

    return around()


def run(ctx):
    before = ctx.size, ctx.prompt, ctx.calls_before, ctx.positive, ctx.negative, ctx.model
    with ctx.another_pass(size=(128, 96), prompt="another", calls_before=5):
        SEEN.append((ctx.size, ctx.prompt, ctx.calls_before))
        ctx.positive = ctx.negative = None
    assert before == (ctx.size, ctx.prompt, ctx.calls_before, ctx.positive, ctx.negative, ctx.model)
    with ctx.another_pass(size=(32, 32), prompt=ctx.prompt, model=ctx.job.model):
        SEEN.append(ctx.size)
    try:
        with ctx.another_pass(prompt="broken"):
            raise ValueError
    except ValueError:
        SEEN.append(ctx.prompt)
'''


def test_a_pass_of_its_own(tmp_path: Path) -> None:
    prompt = "a red circle"
    with local_plugins({"passes": PLUGIN}) as host:
        Studio(host, tmp_path).picture(host, prompt=prompt)
        seen: list[Any] = sys.modules["passes"].SEEN
    # Where prompt and model are the first pass's, nothing is entered anew.
    assert seen == [
        f"in {prompt}",
        f"out {prompt}", "in another", ((128, 96), "another", 5), "out another", f"in {prompt}",
        (32, 32),
        f"out {prompt}", "in broken", "out broken", f"in {prompt}", prompt,
        f"out {prompt}",
    ]  # fmt: skip


def test_changes_of_one_weight_may_end_in_any_order(tmp_path: Path) -> None:
    with local_plugins({}) as host, Studio(host, tmp_path).loaded(host) as model:
        target = AdapterTarget("unet", "mid_block.resnets.0.conv1.weight")
        doubled = AdapterPatch(target, lambda weight, strength: weight * (1 + strength))
        raised = AdapterPatch(target, lambda weight, strength: weight + strength)
        before, weight = digests(model), model.parts["unet"].module.get_parameter(target.parameter)
        with patched(model, [(raised, 1.0)]):
            alone = weight.clone()
        first, second = patched(model, [(doubled, 1.0)]), patched(model, [(raised, 1.0)])
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert (weight == alone).all(), "the one that goes on is gone, or stands on what has ended"
        second.__exit__(None, None, None)
        assert digests(model) == before
