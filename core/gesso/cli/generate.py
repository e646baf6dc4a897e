"""`gesso generate`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import typer

from gesso.cli.app import attached, guarded, load_service, print_json, print_table
from gesso.cli.options import Given, file_params, given_options, plugin_options
from gesso.errors import InvalidInputError

if TYPE_CHECKING:
    from gesso.engine.control import Control
    from gesso.service import Result, Service
    from gesso.types import JobEvent


def _list_options(wanted: bool) -> None:
    if not wanted:
        return
    rows = []
    for option in plugin_options(load_service()).values():
        value = "" if option.is_switch else " FILE" if option.is_file else " VALUE"
        rows.append([f"--{option.flag}{value}", f"{option.section}.{option.name}", option.description])
        if option.is_file:
            rows.append([f"--{option.flag}-dir FOLDER", "", "One picture of a folder after another."])
    print_table(["option", "same as --set", "what it does"], rows, "No plugin adds an option.")
    raise typer.Exit


def command(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to paint.")],
    negative: Annotated[str | None, typer.Option("--negative", "-n", help="What to keep out.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Name, hash or file of the model.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    cfg: Annotated[float | None, typer.Option(help="Guidance scale.")] = None,
    sampler: Annotated[str | None, typer.Option(help="See `gesso samplers`.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="See `gesso schedulers`.")] = None,
    seed: Annotated[int | None, typer.Option(help="-1 for a random one.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures made at once.")] = None,
    count: Annotated[int | None, typer.Option(help="Batches, one after another.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="plugin.field=value; repeat as needed.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A file, or a folder for numbered files.")] = None,
    format: Annotated[
        str | None, typer.Option(help="png, jpeg, webp, avif or a plugin's; else as --out says, or the settings.")
    ] = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="Run in this process, even if a page is being served.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    options: Annotated[
        bool, typer.Option("--options", callback=_list_options, is_eager=True, help="List the options of plugins.")
    ] = False,
) -> None:
    """Make pictures from a prompt. Plugins add options of their own: see --options."""
    given = {
        "prompt": prompt, "negative_prompt": negative, "model": model, "steps": steps, "cfg_scale": cfg,
        "sampler": sampler, "scheduler": scheduler, "seed": seed, "width": width, "height": height,
        "batch_size": batch_size, "count": count,
    }  # fmt: skip
    guarded(_generate, as_json, given, given_options(ctx), settings or [], out, as_json, inline=inline, format=format)


def _generate(
    given: dict[str, Any], options: Given, settings: list[str], out: Path | None, as_json: bool, *, inline: bool,
    format: str | None,
) -> None:  # fmt: skip
    service = options.service or load_service()
    service = service if inline else attached(service)
    try:
        params = parse_settings(settings)
        for section, data in options.params.items():
            params.setdefault(section, {}).update(data)
        given = {**given, "params": file_params(service, params)}
        if options.folders:
            _generate_folder(service, given, options, out, as_json)
            return
        request = service.request(given)
        with Bar() as bar:
            told = partial(bar.show, "hash")
            job = service.job(request, progress=told, settings=file_settings(service, out, format))
            with interruptible() as control:
                result = service.run(job, bar.event, control)
        result = service.save(result, out)
    finally:
        service.close()
    _report(result, as_json)


def file_settings(service: Service, out: Path | None, format: str | None) -> dict[str, dict[str, Any]]:
    """The job's own settings: the format that was asked for, or that the suffix of the file to write names."""
    formats = service.host.registry("formats")
    if format is not None:
        return {"outputs": {"format": formats.get(format).name}}
    if out is None or not out.suffix or out.is_dir() or not len(formats):
        return {}
    found = formats.find(out.suffix.removeprefix("."))
    if found is None:
        known = ", ".join(item.suffix for item in formats)
        raise InvalidInputError(f"{out.name}: {out.suffix} is no picture format.", hint=f"Known: {known}.")
    return {"outputs": {"format": found.name}}


def _generate_folder(service: Service, given: dict[str, Any], options: Given, out: Path | None, as_json: bool) -> None:
    """The request for every picture of a folder; exit code 1 when one of them came to nothing."""
    from gesso.cli.batch import items, run_items

    todo = items(service, options.folders)
    with Bar() as bar, interruptible() as control:
        run_items(service, given, todo, out, bar, control)
    failed = [item for item in todo if item.problem]
    if as_json:
        lines = [{"input": str(i.source), "files": [str(f) for f in i.files], "error": i.problem} for i in todo]
        print_json({"items": lines, "failed": len(failed)})
    for item in todo if not as_json else ():
        for file in item.files:
            print(file)
    for item in failed:
        print(f"gesso: {item.source}: {item.problem}", file=sys.stderr)
    if failed:
        print(f"gesso: {len(failed)} of {len(todo)} pictures came to nothing.", file=sys.stderr)
        raise SystemExit(1)


def _report(result: Result, as_json: bool) -> None:
    if as_json:
        pictures = [
            {"file": str(file), "sha256": artifact.file.sha256, **artifact.meta}
            for file, artifact in zip(result.files, result.artifacts, strict=True)
        ]
        print_json({"job": result.job.model_dump(mode="json"), "artifacts": pictures})
        return
    for file in result.files:
        print(file)
    if not result.files:
        print("gesso: stopped before a picture was finished.", file=sys.stderr)
        raise SystemExit(130)


def parse_settings(settings: list[str]) -> dict[str, dict[str, str]]:
    """["hires.scale=1.5"] → {"hires": {"scale": "1.5"}}."""
    params: dict[str, dict[str, str]] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        plugin, dot, field = key.strip().partition(".")
        if not (equals and dot and plugin and field):
            raise InvalidInputError(f"--set takes plugin.field=value, not {text!r}.")
        params.setdefault(plugin, {})[field] = value
    return params


@contextmanager
def interruptible() -> Iterator[Control]:
    """A Control that Ctrl-C turns: the first keeps what is finished, the second drops the job."""
    from gesso.engine.control import Control

    control = Control()

    def on_signal(number: int, frame: object) -> None:
        if control.interrupted:
            control.cancel()
        control.interrupt()
        print("\ngesso: stopping; finished pictures are kept (once more to drop the job).", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield control
        return
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield control
    finally:
        signal.signal(signal.SIGINT, before)


class Bar:
    """A progress bar on stderr with rate and time left; silent where stderr is no terminal."""

    LABELS: ClassVar = {"hash": "Hashing model", "load": "Loading model", "sample": "Sampling"}

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("Starting", total=None, rate="")
        self._stage, self._batch = "", ""
        self.title = ""
        """What the bar is about, where one command does several things."""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage; a new stage starts a new bar."""
        if stage != self._stage:
            self._stage = stage
            self._progress.reset(self._task, total=total, description=self.LABELS.get(stage, stage.capitalize()))
        speed = self._progress.tasks[0].speed
        rate = f"{speed:.1f} it/s" if speed and stage == "sample" else ""
        words = " ".join(filter(None, [rate, self._batch, self.title]))
        self._progress.update(self._task, completed=done, total=total, rate=words)

    def event(self, event: JobEvent) -> None:
        """Follow a job."""
        data = event.data
        if event.kind == "warning":
            self._progress.console.print(f"warning: {data['message']}", markup=False)
        elif event.kind == "progress" and data["stage"] == "batch":
            self._batch = (
                f"picture {min(data['done'] + 1, data['total'])} of {data['total']}" if data["total"] > 1 else ""
            )
            self._stage = ""
        elif event.kind == "progress":
            self.show(data["stage"], data["done"], data["total"])
