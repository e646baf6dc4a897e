"""A session's own jobs over HTTP, for the page's queue and the counter of tokens. Plain JSON, no Gradio.

POST gesso/tokens {"prompt": "…", "model": "…", "role": "positive", "steps": 20} counts tokens; POST
gesso/queue/JOB/{up,down,top,cancel} moves or drops a waiting job of this session.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field

from gesso import GessoError, HostService, JobRecord, count_tokens

from .session import owner_of

MOVES = ("up", "down", "top", "cancel")


class Counted(BaseModel):
    """What is counted."""

    prompt: str = Field(max_length=100_000)
    model: str = ""
    role: str = "positive"
    steps: int = Field(20, ge=1, le=1000)


def router(service: HostService, moved: Callable[[], object]) -> APIRouter:
    """The routes of a service; `moved` is called when the order of waiting jobs has changed."""
    made = APIRouter(prefix="/gesso")

    @made.post("/tokens")
    def tokens(wanted: Counted) -> dict[str, int]:
        try:
            count = count_tokens(
                service, wanted.prompt, model=wanted.model, role=wanted.role, steps=wanted.steps
            )  # fmt: skip
        except GessoError as error:
            raise HTTPException(422, str(error)) from None
        return {"tokens": count.tokens, "limit": count.limit}

    @made.post("/queue/{job}/{move}")
    def act(job: str, move: str, request: Request) -> dict[str, str]:
        if move not in MOVES:
            raise HTTPException(404, f"There is no {move!r}; there are {', '.join(MOVES)}.")
        waiting = service.queue.jobs("queued", owner=owner_of(request) or "-")
        place = next((place for place, record in enumerate(waiting) if record.id == job), None)
        if place is None:
            raise HTTPException(404, "This job does not wait any more.")
        try:
            _move(service, waiting, place, move)
        except GessoError as error:
            raise HTTPException(409, str(error)) from None
        moved()
        return {"job": job, "done": move}

    return made


def _move(service: HostService, waiting: list[JobRecord], place: int, move: str) -> None:
    """Among the session's own jobs alone: others' keep their order."""
    queue, job = service.queue, waiting[place].id
    if move == "cancel":
        queue.cancel(job)
    elif move == "down" and place + 1 < len(waiting):
        queue.move(job, after=waiting[place + 1].id)
    elif move in ("up", "top") and place:
        queue.move(job, before=waiting[0 if move == "top" else place - 1].id)
