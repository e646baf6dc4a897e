"""What page, REST and CLI all call: requests in, jobs and artifacts out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gesso
from gesso.contributions import ModelFolder
from gesso.errors import InvalidInputError, UnknownNameError
from gesso.files import write_whole
from gesso.models.library import Entry, Library
from gesso.models.modules import find_modules, role_of
from gesso.models.mounts import ModelSettings, Mounts
from gesso.names import split_sampler_name
from gesso.outputs.writing import OutputWriter, named
from gesso.page import PageSettings
from gesso.pairs import records, request_fields
from gesso.params import Params, fields
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.settings import CoreSettings, Settings
from gesso.types import Artifact, FileRef, Job, JobEvent, ModelRef, Request

if TYPE_CHECKING:
    from gesso.engine.control import Control
    from gesso.families import Family
    from gesso.jobs.executors import Executor
    from gesso.metadata import ImageMetadata
    from gesso.reuse import Reused
    from gesso.store.history import History
    from gesso.thumbnails import Thumbnails

Progress = Callable[[int, int], None]
MODEL_FOLDERS = {"checkpoint": "checkpoints", "vae": "vae", "text_encoder": "text_encoders", "lora": "loras"}
"""The folders under the models folder, by role."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a job made: artifacts with their bytes' home, and the files written for them."""

    job: Job
    artifacts: list[Artifact]
    files: list[Path] = field(default_factory=list)


class Service:
    """One per process that serves people: plugins, models, settings and an executor."""

    def __init__(self, host: Host, paths: Paths | None = None, executor: Executor | None = None) -> None:
        self.host = host
        self.paths = paths or Paths.of()
        self._executor = executor
        host.emit("gesso_on_startup", process=host.process)

    @cached_property
    def settings(self) -> Settings:
        return Settings(self.paths.settings / "settings.json")

    @cached_property
    def core_settings(self) -> CoreSettings:
        return self.settings.section("core", CoreSettings)

    @cached_property
    def library(self) -> Library:
        chosen = self.core_settings.models_folder
        folder = Path(chosen).expanduser() if chosen else self.paths.models
        own = [ModelFolder(name=name, role=role, path=folder / name) for role, name in MODEL_FOLDERS.items()]
        return Library(self.host, self.paths.cache / "models.sqlite3", lambda: self.mounts.folders(own))

    @cached_property
    def mounts(self) -> Mounts:
        """Where models lie besides the models folder."""
        return Mounts(self.settings)

    @cached_property
    def history(self) -> History:
        """The pictures that were made. StorageError: the database cannot be opened."""
        from gesso.store import Store
        from gesso.store.history import History

        return History(Store.open(self.paths.home, self.core_settings.database_url))

    @cached_property
    def thumbnails(self) -> Thumbnails:
        """Small pictures of pictures."""
        from gesso.thumbnails import Thumbnails

        return Thumbnails(self.paths.cache / "thumbnails")

    @property
    def executor(self) -> Executor:
        """Where jobs run; in this process unless another was given."""
        if self._executor is None:
            from gesso.jobs.executors import InlineExecutor

            self._executor = InlineExecutor(self.host, self.library, self.core_settings)
        return self._executor

    def use(self, executor: Executor) -> None:
        """Run jobs there from now on."""
        self._executor = executor

    # --- requests ---------------------------------------------------------------------------------------------

    def request(self, given: Mapping[str, Any]) -> Request:
        """A validated request from the fields a person gave; everything else from the model's profile and defaults."""
        fields = {key: value for key, value in given.items() if value is not None}
        entry = self.library.find(str(fields.get("model") or ""))
        merged = {**self.profile(entry), **fields, "model": entry.name}
        request = Request.parse(merged)
        sampler, scheduler = split_sampler_name(
            request.sampler, self.host.registry("samplers"), self.host.registry("schedulers")
        )
        named = scheduler.name if scheduler is not None and "scheduler" not in fields else request.scheduler
        update = {
            "sampler": sampler.name,
            "scheduler": self.host.registry("schedulers").get(named).name,
            "guider": self.host.registry("guiders").get(request.guider).name,
        }
        request = request.model_copy(update=update)
        params = self._checked(request)
        return request.model_copy(update={"params": params, "inputs": {**request.inputs, **files_of(params)}})

    def reuse(self, infotext: str) -> tuple[dict[str, Any], dict[str, str]]:
        """(request fields, pairs nobody understands) that make the picture of an infotext once more."""
        from gesso.metadata import parse_infotext

        text = parse_infotext(infotext)
        fields, unknown = request_fields(self.host, text.prompt, text.negative_prompt, text.params)
        return self.host.filter("gesso_filter_reuse", fields, pairs=text.params, service=self), unknown

    def closest(self, infotext: str) -> Reused:
        """The request that comes as near to an infotext as what is installed here allows, and every difference.

        Where `reuse` and `request` would end in an error (a model, a sampler that is not here), a default stands.
        """
        from gesso.reuse import closest

        return closest(self, infotext)

    def read_picture(self, source: Path | bytes, *, stealth: bool = False) -> ImageMetadata:
        """What a picture says of how it was made, whichever program wrote it. See `read_image_metadata`."""
        from gesso.metadata import read_image_metadata

        return read_image_metadata(source, stealth=stealth, readers=self.host.registry("metadata_readers"))

    def profile(self, model: Entry | str) -> dict[str, Any]:
        """Where a model starts from: its family's defaults and what its file states (`stated_defaults`)."""
        entry = self.library.find(model) if isinstance(model, str) else model
        start = asdict(self.host.registry("families").get(entry.family).starts(entry.variant))
        del start["multiple_of"]
        stated = dict(entry.defaults)
        for name in ("sampler", "scheduler"):
            if name in stated and stated[name] not in self.host.registry(f"{name}s"):
                del stated[name]  # its plugin is not installed here
        return {**start, **stated}

    def _checked(self, request: Request) -> dict[str, dict[str, Any]]:
        """Plugins' records validated, written back as plain data."""
        known = records(self.host, request)
        checked = {}
        for name, data in request.params.items():
            if name not in known:
                raise UnknownNameError("plugin parameter section", name, known)
            typed = {k: v for k, v in data.items() if not isinstance(v, str)}
            texts = {k: v for k, v in data.items() if isinstance(v, str)}
            record = known[name].parse({**typed, **_from_texts(known[name], texts, name)}, where=name)
            checked[name] = record.model_dump(mode="json")
        return checked

    def job(
        self,
        request: Request,
        progress: Progress | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Job:
        """Resolve everything that may change the picture: seed, prompts, model hash, versions, settings.

        `settings` are for this job alone, by section: {"outputs": {"format": "jpeg"}}.
        """
        asked = request
        seed = secrets.randbelow(2**32) if request.seed == -1 else request.seed
        request = request.model_copy(update={"seed": seed})
        request = self.host.filter("gesso_filter_request", request, service=self)
        prompt = self.host.filter("gesso_filter_prompt", request.prompt, request=request)
        request = request.model_copy(update={"prompt": prompt})
        self._check_size(request)
        model = self.library.ref(request.model, progress=progress)
        components = self._components(request, progress)
        versions = {"gesso": gesso.__version__, **self.host.versions()}
        frozen = self._frozen(settings or {})
        before = {name: getattr(asked, name) for name in ("prompt", "negative_prompt", "params")}
        typed = {name: value for name, value in before.items() if value != getattr(request, name)}
        return Job(request=request, asked=typed, model=model, components=components, versions=versions, settings=frozen)

    def _components(self, request: Request, progress: Progress | None) -> dict[str, ModelRef]:
        """The files of the request's components, and of what the checkpoint itself does not hold."""
        given = {
            part: self.library.ref(name, role_of(part, self.host), progress)
            for part, name in request.components.items()
            if name
        }
        found = find_modules(self.library.find(request.model), given, self.library, self.host)
        modules = {part: self.library.ref(e.name, e.role, progress) for part, e in found.items() if part not in given}
        return {**given, **modules}

    def sections(self) -> dict[str, type[Params]]:
        """Every section of the settings file that somebody reads: gesso's own, plugins', those of picture formats."""
        from gesso.jobs.protocol import WorkerSettings
        from gesso.outputs.encoding import section_of

        own: dict[str, type[Params]] = {
            "core": CoreSettings, "models": ModelSettings, "page": PageSettings, "worker": WorkerSettings,
        }  # fmt: skip
        registered = {section.name: section.params for section in self.host.registry("settings")}
        formats = {section_of(f): f.options for f in self.host.registry("formats") if f.options is not None}
        return {**own, **registered, **formats}

    def settings_record(self, section: str) -> type[Params]:
        """The record of a section of the settings file. UnknownNameError: nobody reads one of that name."""
        sections = self.sections()
        if section not in sections:
            raise UnknownNameError("settings section", section, sections)
        return sections[section]

    def changed_settings(self, section: str, texts: Mapping[str, str]) -> Params:
        """A section with some values as a person typed them; not stored (`settings.save` does that).

        UnknownNameError, InvalidInputError: what is wrong with them.
        """
        record = self.settings_record(section)
        for name in texts:
            if name not in record.model_fields:
                raise UnknownNameError(f"setting of {section}", name, record.model_fields)
        typed = record.parse_text(texts, where=section).model_dump()
        old = self.settings.section(section, record).model_dump()
        return record.parse({**old, **{name: typed[name] for name in texts}}, where=section)

    def default_settings(self, section: str, name: str = "") -> Params:
        """A section with one value, or all, as they are at first; not stored."""
        record = self.settings_record(section)
        if name and name not in record.model_fields:
            raise UnknownNameError(f"setting of {section}", name, record.model_fields)
        old = self.settings.section(section, record).model_dump()
        return record.parse({key: value for key, value in old.items() if name and key != name}, where=section)

    def _frozen(self, given: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """What of the settings changes the picture or its file, with this job's own over it."""
        sections = self.sections()
        for name in given:
            if name not in sections:
                raise UnknownNameError("settings section", name, sections)
        frozen: dict[str, Any] = {"device": self.core_settings.device, "dtype": self.core_settings.dtype}
        for name, record in sections.items():
            if name in ("core", "models", "worker"):
                continue
            values = self.settings.section(name, record).model_dump(mode="json")
            values = record.parse({**values, **given.get(name, {})}, where=name).model_dump(mode="json")
            kept = {field for field, _, info in fields(record) if info.changes_picture}
            if kept:
                frozen[name] = {field: value for field, value in values.items() if field in kept}
        return frozen

    def size_step(self, model: str) -> int:
        """Width and height of this model's pictures are multiples of so many pixels."""
        entry = self.library.find(model)
        family: Family = self.host.registry("families").get(entry.family)
        return family.starts(entry.variant).multiple_of

    def _check_size(self, request: Request) -> None:
        step = self.size_step(request.model)
        for name in ("width", "height"):
            value = getattr(request, name)
            if value % step:
                low = max(step, value // step * step)
                raise InvalidInputError(
                    f"{name} must be a multiple of {step}, not {value}.", hint=f"Try {low} or {low + step}."
                )

    # --- files ------------------------------------------------------------------------------------------------

    def take_picture(self, data: bytes, name: str = "This picture") -> FileRef:
        """Store a picture a request will refer to. BadFileError: it is none, it is damaged or too large."""
        from gesso.pictures import picture_type

        return self.executor.blobs.upload(data, picture_type(data, name=name))

    def file(self, ref: FileRef) -> bytes:
        """A stored file's content; BadFileError when it is not here."""
        return self.executor.blobs.get(ref)

    # --- running ----------------------------------------------------------------------------------------------

    def run(
        self, job: Job, on_event: Callable[[JobEvent], None] | None = None, control: Control | None = None
    ) -> Result:
        """Run a job to its end in the executor and return what it made."""

        def emit(event: JobEvent) -> None:
            self.host.emit("gesso_on_job_event", job=job, event=event)
            if on_event is not None:
                on_event(event)

        return Result(job, self.executor.run(job, emit, control))

    def save(self, result: Result, target: Path | None = None) -> Result:
        """Write the artifacts: to the file `target` (numbered when there are several), into the folder `target`, or
        below the outputs folder by the patterns of the job's settings.

        Only a file that is named is replaced. Where the executor keeps files for people itself, those are the files
        when no target is given.
        """
        kept = self.executor.files(result.job) if target is None else []
        if kept:
            return Result(result.job, result.artifacts, kept)
        files = []
        for number, artifact in enumerate(result.artifacts):
            data = self.executor.blobs.get(artifact.file)
            if target is not None and target.suffix and not target.is_dir():
                path = target if len(result.artifacts) == 1 else target.with_stem(f"{target.stem}-{number + 1}")
                write_whole(path, data)
            else:
                path = self.writer.put(named(result.job, artifact, number, time.time()), data, target)
            files.append(path)
        return Result(result.job, result.artifacts, files)

    @cached_property
    def writer(self) -> OutputWriter:
        """Names and writes files for people."""
        return OutputWriter(self.host, self.outputs_folder, self.paths.cache / "outputs.lock")

    def outputs_folder(self) -> Path:
        chosen = self.core_settings.outputs_folder
        return Path(chosen).expanduser() if chosen else self.paths.outputs

    def close(self) -> None:
        """End in good order."""
        self.host.emit("gesso_on_shutdown", process=self.host.process)
        if self._executor is not None:
            self._executor.close()
        if "history" in self.__dict__:
            self.history.store.close()


def files_of(params: Mapping[str, Mapping[str, Any]]) -> dict[str, FileRef]:
    """The files that records refer to, by field: {"init": …, "mask": …}."""
    return {
        name: FileRef.model_validate(value)
        for data in params.values()
        for name, value in data.items()
        if isinstance(value, dict) and value.keys() == FileRef.model_fields.keys()
    }


def _from_texts(record: Any, texts: Mapping[str, str], where: str) -> dict[str, Any]:
    """Texts (from a command line) as the record's types."""
    return dict(record.parse_text(texts, where=where).model_dump(include=set(texts))) if texts else {}


def generate(prompt: str, *, home: Path | str | None = None, **fields: Any) -> list[Any]:
    """Make pictures in this process and return them as PIL images.

    `fields` are those of `Request` (negative_prompt, model, steps, seed, width, height, params …).
    """
    import io

    from PIL import Image

    paths = Paths.of(home)
    service = Service(Host.load("both", home=paths.home), paths)
    try:
        job = service.job(service.request({"prompt": prompt, **fields}))
        artifacts = service.run(job).artifacts
        return [Image.open(io.BytesIO(service.executor.blobs.get(a.file))) for a in artifacts]
    finally:
        service.close()
