"""Registers one sampler for each kind of misfortune, and a slow one that behaves."""

from __future__ import annotations

from gesso import Sampler, SamplerFn, hookimpl, lazy

api = "1"
NAMES = (
    "segfault", "abort", "endless", "endless_in_c", "flood", "leave", "fail", "garbage", "slow", "deaf", "oblivious",
)  # fmt: skip


@hookimpl
def gesso_register_samplers(registry):
    for name in NAMES:
        registry.add(Sampler(name=f"faulty_{name}", run=lazy(f".samplers:{name}", SamplerFn)))
