"""The worker follows what a person enables and disables, between two jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gesso.errors import GessoError
from gesso.plugins.verdicts import set_enabled


def test_between_two_jobs(make_service: Any, toy_model: Path):
    service = make_service()

    def run() -> int:
        given = {"model": str(toy_model), "sampler": "euler", "seed": 7, "prompt": "p"}
        return len(service.run(service.job(service.request(given))).artifacts)

    assert run() == 1
    set_enabled(service.paths, "gesso:samplers", False)
    with pytest.raises(GessoError, match="sampler"):
        run()
    set_enabled(service.paths, "gesso:samplers", True)
    assert run() == 1
    assert service.executor.plugins()["gesso:samplers"].state == "enabled"
