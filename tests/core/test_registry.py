"""Registries and lazy references."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gesso import LazyReferenceError, RegistrationError, Registry, UnknownNameError, lazy


@dataclass(frozen=True)
class Item:
    name: str
    label: str
    aliases: tuple[str, ...] = ()


@pytest.fixture
def registry() -> Registry[Item]:
    made = Registry("thing", Item)
    made.add(Item("euler", "Euler", ("k_euler",)), owner="a")
    return made


@pytest.mark.parametrize("spelling", ["euler", "EULER", "Euler", "k_Euler"])
def test_found_by_name_label_and_alias_in_any_case(registry: Registry[Item], spelling: str) -> None:
    assert registry.get(spelling).name == "euler"
    assert spelling in registry


@pytest.mark.parametrize("item", [Item("euler", "Other"), Item("x", "EULER"), Item("x", "X", ("k_euler",))])
def test_a_second_claim_names_both_owners(registry: Registry[Item], item: Item) -> None:
    with pytest.raises(RegistrationError, match=r"^b claims .* which a already owns"):
        registry.add(item, owner="b")
    assert len(registry) == 1


def test_wrong_types_are_refused(registry: Registry[Item]) -> None:
    with pytest.raises(RegistrationError, match="expected Item"):
        registry.add("euler", owner="b")  # type: ignore[arg-type]


def test_unknown_names_list_neighbours(registry: Registry[Item]) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'Euler'"):
        registry.get("eulr")
    assert registry.find("eulr") is None


def test_an_owner_can_be_forgotten(registry: Registry[Item]) -> None:
    registry.add(Item("heun", "Heun"), owner="b")
    registry.remove_owner("a")
    assert [item.name for item in registry] == ["heun"]
    assert "k_euler" not in registry
    registry.add(Item("euler", "Euler"), owner="b")
    assert registry.owner("Euler") == "b"


def test_lazy_loads_once_and_late() -> None:
    reference = lazy("math:sqrt", Callable)
    assert str(reference) == "math:sqrt"
    assert reference.load() is math.sqrt


def test_relative_references_start_at_the_package() -> None:
    namespace = {"__name__": "gesso.metadata.x", "__package__": "gesso.metadata", "lazy": lazy}
    exec("found = lazy('.errors:MetadataError', Exception)", namespace)  # a module of another package
    assert str(namespace["found"]) == "gesso.metadata.errors:MetadataError"


@pytest.mark.parametrize("reference", ["no_such_module_xyz:f", "math:no_such_function"])
def test_a_reference_that_does_not_resolve_is_named(reference: str) -> None:
    with pytest.raises(LazyReferenceError, match=reference):
        lazy(reference, Callable).load()


@pytest.mark.parametrize("text", ["math", ":sqrt", "math:"])
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(LazyReferenceError, match="of the form"):
        lazy(text, Callable)
