"""What a tab's handler raises is put down to its plugin, and reaches the person as before."""

from __future__ import annotations

import inspect

import gradio as gr
import pytest

from gesso.errors import InvalidInputError
from gesso_ui.boundary import attributed


def test_a_handlers_error_is_its_plugins(service):
    def handler(number: int, request: gr.Request) -> float:
        """Ten by so many."""
        if number < 0:
            raise InvalidInputError("Not below zero.")
        return 10 / number

    wrapped = attributed(service.host, "local:odd", "the tab plain", handler)
    assert wrapped(5, None) == 2
    # Gradio reads the signature to know who wants the request.
    assert inspect.signature(wrapped) == inspect.signature(handler)
    before = service.host.state("local:odd").errors
    with pytest.raises(InvalidInputError):
        wrapped(-1, None)
    assert service.host.state("local:odd").errors == before
    with pytest.raises(ZeroDivisionError):
        wrapped(0, None)
    state = service.host.state("local:odd")
    assert (state.phase, state.hook, state.errors) == ("handler", "the tab plain", before + 1)


def test_generators_are_left_as_they_are(service):
    def steps():
        yield 1

    assert attributed(service.host, "local:odd", "the tab plain", steps) is steps
