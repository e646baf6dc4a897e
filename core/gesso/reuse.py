"""A picture made elsewhere, as near as it can be made here: the request, and all that is not as the picture says.

Torch-free. `Service.reuse` reads an infotext; this leaves out what cannot be had and says so, instead of failing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from gesso.errors import GessoError
from gesso.metadata.infotext import parse_infotext, value_text
from gesso.names import split_sampler_name
from gesso.pairs import as_a1111, job_pairs, records
from gesso.params import Params, fields, takes_file
from gesso.types import CoreParams, Job, ModelRef, Request

if TYPE_CHECKING:
    from gesso.service import Service

Kind = Literal["missing", "unknown", "invalid", "changed"]
QUIET = ("Version", "User", "Model hash", "VAE hash")
"""Keys of which no difference is told: what they stand for is told under another."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something an infotext says that is otherwise here."""

    key: str
    """Of the infotext: "Model", "Hires upscaler"."""
    said: str
    here: str
    """What stands for it here; "" where nothing does."""
    kind: Kind
    """missing: its file is not here; unknown: nobody here knows the key, or the name; invalid: a value nobody takes;
    changed: something near is taken."""
    why: str = ""
    """An error's words, where there was one."""


@dataclass(frozen=True, slots=True)
class Reused:
    """What makes an infotext's picture here, or one like it."""

    request: Request
    differences: tuple[Difference, ...]


@dataclass
class _Fields:
    """The fields of a request, and what was left out of them: infotext key → difference."""

    values: dict[str, Any]
    pairs: Mapping[str, str]
    left_out: dict[str, Difference] = field(default_factory=dict)

    def leave_out(self, keys: tuple[str, ...], kind: Kind, error: GessoError | None = None) -> None:
        # Without its hint, which is for somebody who can type it anew.
        why = "" if error is None else str(error).removesuffix(error.hint).strip()
        for key in keys:
            if key in self.pairs:
                self.left_out[key] = Difference(key, self.pairs[key], "", kind, why)


def closest(service: Service, infotext: str) -> Reused:
    """The request that comes closest to an infotext, and where it differs. InvalidInputError: there is no model."""
    given, unknown = service.reuse(infotext)
    pairs = as_a1111(parse_infotext(infotext).params)
    found = _Fields({**given, "params": dict(given.get("params", {}))}, pairs)
    found.leave_out(tuple(unknown), "unknown")
    _keep_known_names(service, found)
    _keep_valid(found)
    _keep_sections(service, found)
    _fit_size(service, found)
    request = service.request(found.values)
    _keep_usable(service, found, request)
    request = service.request(found.values)
    return Reused(request, tuple(_differences(service, found, request)))


def _keep_known_names(service: Service, found: _Fields) -> None:
    """Model, sampler, schedule: those that are not here make room for the defaults."""
    host, values = service.host, found.values
    samplers, schedulers = host.registry("samplers"), host.registry("schedulers")
    checks: dict[str, tuple[tuple[str, ...], Kind, Callable[[str], object]]] = {
        "model": (("Model", "Model hash"), "missing", service.library.find),
        "sampler": (("Sampler",), "unknown", lambda name: split_sampler_name(name, samplers, schedulers)),
        "scheduler": (("Schedule type",), "unknown", schedulers.get),
    }
    for name, (keys, kind, known) in checks.items():
        try:
            if values.get(name):
                known(values[name])
        except GessoError as error:
            del values[name]
            found.leave_out(keys, kind, error)


def _keep_valid(found: _Fields) -> None:
    """gesso's own fields, without values they do not take."""
    for name, _, info in fields(CoreParams):
        if name in found.values:
            try:
                CoreParams.parse({name: found.values[name]})
            except GessoError as error:
                del found.values[name]
                keys = ("Size",) if name in ("width", "height") else (info.infotext,)
                found.leave_out(keys, "invalid", error)


def _keep_sections(service: Service, found: _Fields) -> None:
    """Plugins' records, without values they do not take."""
    core = {name: found.values[name] for name in CoreParams.model_fields if name in found.values}
    known = records(service.host, CoreParams.model_construct(**core))
    for name, data in list(found.values["params"].items()):
        record = known.get(name)
        if record is None:  # the options of a sampler that is not here
            del found.values["params"][name]
            continue
        good = {}
        for key, value in data.items():
            try:
                record.parse({key: value}, where=name)
                good[key] = value
            except GessoError as error:
                found.leave_out(_keys_of(record, key), "invalid", error)
        found.values["params"][name] = good


def _fit_size(service: Service, found: _Fields) -> None:
    """Width and height as the model takes them: the next lower multiple."""
    values = found.values
    step = service.size_step(str(values.get("model") or ""))
    for name in ("width", "height"):
        if name in values and values[name] % step:
            values[name] = max(step, values[name] // step * step)


def _keep_usable(service: Service, found: _Fields, request: Request) -> None:
    """Fields that a plugin refuses (an upscaler, a file that is not here) are left out; a picture may come later."""
    known = records(service.host, request)
    for name, data in request.params.items():
        error = _refusal(service, request, name, data)
        given = found.values["params"].get(name)
        if error is None or given is None:
            continue
        rest = {key: {k: v for k, v in data.items() if k != key} for key in given}
        guilty = next((key for key in given if _refusal(service, request, name, rest[key]) is None), None)
        if guilty is not None:
            del given[guilty]
            found.leave_out(_keys_of(known[name], guilty), "missing", error)
        elif not any(takes_file(f) and data.get(key) is None for key, f, _ in fields(known[name])):
            del found.values["params"][name]
            found.leave_out(known[name].infotext_keys(), "missing", error)


def _refusal(service: Service, request: Request, name: str, data: Mapping[str, Any]) -> GessoError | None:
    """What plugins say against a record, with nothing beside it."""
    try:
        alone = request.model_copy(update={"params": {name: dict(data)}})
        service.host.filter("gesso_filter_request", alone, service=service)
    except GessoError as error:
        return error
    return None


def _keys_of(record: type[Params], name: str) -> tuple[str, ...]:
    """The infotext key of a field; all of its record where the field is not one key."""
    key = next((info.infotext for known, _, info in fields(record) if known == name), "")
    return (key,) if key else record.infotext_keys()


def _differences(service: Service, found: _Fields, request: Request) -> list[Difference]:
    """In the order of the infotext."""
    entry = service.library.find(request.model)
    model = ModelRef(role="checkpoint", name=entry.name, hash=entry.hash)
    made = job_pairs(service.host, Job(request=request, model=model), seed=request.seed)
    here = {key: value_text(value) for key, value in made.items() if value is not None}
    told = []
    for key, said in found.pairs.items():
        out = found.left_out.get(key)
        if key in QUIET:
            continue
        if out is not None:
            told.append(Difference(key, said, here.get(key, ""), out.kind, out.why))
        elif key == "Model":
            told += _other_file(found.pairs, here)
        elif key not in ("Sampler", "Schedule type") and key in here and not _same(said, here[key]):
            told.append(Difference(key, said, here[key], "changed"))
    if "Model hash" in found.left_out and "Model" not in found.pairs:
        told.insert(0, Difference("Model", found.pairs["Model hash"], here.get("Model", ""), "missing"))
    return told


def _other_file(pairs: Mapping[str, str], here: Mapping[str, str]) -> list[Difference]:
    """A model of the same name and another content is another model."""
    said, known = pairs.get("Model hash", ""), here.get("Model hash", "")
    if not said or not known or said.casefold()[:10] == known.casefold()[: len(said)]:
        return []
    return [Difference("Model", f"{pairs['Model']} [{said}]", f"{here.get('Model', '')} [{known}]", "changed")]


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one.strip().casefold() == other.strip().casefold()
