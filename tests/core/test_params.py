"""The parameter record."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest

from gesso import InvalidInputError, Params, UnknownNameError, param
from gesso.params import fields


class Unit(Params):
    """One of several."""

    weight: float = param(1.0, ge=0, le=2)


class Example(Params):
    """Every kind of field."""

    version: ClassVar[int] = 2
    enabled: bool = param(False, infotext="Example")
    scale: float = param(2.0, ge=1, le=4, step=0.05, label="Upscale by", infotext="Example scale", api="ex_scale")
    mode: Literal["a", "b"] = param("a", infotext="Example mode")
    name: str = param("", infotext="Example name")
    limit: int | None = param(None)
    units: list[Unit] = param([])

    @classmethod
    def upgrade(cls, old: int, data: dict[str, Any]) -> dict[str, Any]:
        renamed = {"factor": "scale"} if old < 2 else {}
        return {renamed.get(name, name): value for name, value in data.items()}


def test_defaults_and_bounds() -> None:
    assert Example().scale == 2.0
    with pytest.raises(InvalidInputError, match=r"example\.scale: .*less than or equal to 4 \(got '9'\)"):
        Example.parse({"scale": 9}, where="example")


def test_an_unknown_field_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError, match=r"'scal'\. Did you mean 'scale'"):
        Example.parse({"scal": 1})


def test_texts_become_types() -> None:
    record = Example.parse_text(
        {"enabled": "true", "scale": " 1.5", "mode": "b", "name": " x ", "limit": "none", "units": '[{"weight": 0.5}]'}
    )
    assert (record.enabled, record.scale, record.mode, record.name, record.limit) == (True, 1.5, "b", " x ", None)
    assert record.units == [Unit(weight=0.5)]


@pytest.mark.parametrize("text", ["[", "x", "[" * 100_000])
def test_broken_json_is_one_sentence(text: str) -> None:
    with pytest.raises(InvalidInputError, match="units takes JSON"):
        Example.parse_text({"units": text})


def test_null_in_a_client_of_a1111_says_nothing() -> None:
    assert Example.from_a1111({"ex_scale": None}) == {}
    assert Example.from_a1111({"ex_scale": 3, "other": 1}) == {"scale": 3}


def test_lists_of_scalars_may_be_typed_without_brackets() -> None:
    class Lists(Params):
        names: list[str] = param([])
        sizes: list[int] = param([])

    assert Lists.parse_text({"names": "a b, c ,", "sizes": "1, 2"}) == Lists(names=["a b", "c"], sizes=[1, 2])
    assert Lists.parse_text({"names": '["a, b"]', "sizes": "[3]"}) == Lists(names=["a, b"], sizes=[3])
    assert Lists.parse_text({"names": ""}).names == []
    with pytest.raises(InvalidInputError, match="units takes JSON"):
        Example.parse_text({"units": "1, 2"})


def test_records_are_immutable_and_defaults_not_shared() -> None:
    with pytest.raises(Exception, match="frozen"):
        Example().scale = 3  # type: ignore[misc]
    assert Example().units is not Example().units


def test_infotext_round_trip_writes_only_what_differs() -> None:
    record = Example(scale=1.5, name="Ann, Bob: c")
    pairs = record.to_infotext()
    assert pairs == {"Example scale": 1.5, "Example name": "Ann, Bob: c"}
    back = Example.parse(Example.from_infotext({key: str(value) for key, value in pairs.items()}))
    assert back == record
    assert Example().to_infotext() == {}


def test_upgrade_from_an_earlier_version() -> None:
    assert Example.parse({"factor": 3}, version=1).scale == 3
    with pytest.raises(UnknownNameError):
        Example.parse({"factor": 3}, version=2)


def test_keys_and_names() -> None:
    assert Example.infotext_keys() == ("Example", "Example scale", "Example mode", "Example name")
    assert Example.api_names() == ("ex_scale",)
    info = {name: i for name, _, i in fields(Example)}
    assert (info["scale"].label, info["scale"].step) == ("Upscale by", 0.05)


def test_the_schema_has_labels_and_bounds() -> None:
    schema = Example.model_json_schema()["properties"]["scale"]
    assert (schema["title"], schema["minimum"], schema["maximum"], schema["default"]) == ("Upscale by", 1, 4, 2.0)
