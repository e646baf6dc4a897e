"""A task as a job: what was asked for validated, and what only the host knows settled. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gesso
from gesso.types import Job, Request

if TYPE_CHECKING:
    from gesso.contributions import Task
    from gesso.service import Service


def task_job(service: Service, name: str, given: Mapping[str, Any], *, owner: str = "") -> Job:
    """The job of the task called `name`; `given` are fields of its record, texts as typed on a command line included.

    UnknownNameError: no such task or field. InvalidInputError: a value that cannot be used.
    """
    task: Task = service.host.registry("tasks").get(name)
    record = task.params.parse_text(given, where=task.name)
    if task.resolve is not None:
        record = task.resolve.load()(record, service)
    request = Request(seed=0, owner=owner, params={task.name: record.model_dump(mode="json")})
    versions = {"gesso": gesso.__version__, **service.host.versions()}
    return Job(kind="task", task=task.name, request=request, versions=versions)
