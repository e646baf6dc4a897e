"""Token counts are the encoder's own, of the words it reads."""

from __future__ import annotations

import pytest

from gesso import InvalidInputError, Service, TokenCount, UnknownNameError, count_tokens


@pytest.mark.parametrize(
    ("prompt", "tokens", "limit"),
    [
        ("", 0, 75),
        ("a red circle", 3, 75),
        ("a (red:1.3) [[circle]]", 3, 75),  # weights are no words
        ("a red circle # and what nobody reads", 3, 75),
        ("[a:a red circle:0.5]", 3, 75),  # the longer of the two
        ("a BREAK a red circle", 78, 150),  # what BREAK fills up counts
        ("a AND a red circle", 3, 75),
        (" ".join(["circle"] * 76), 76, 150),
    ],
)
def test_a_prompt_counts_as_it_is_read(service: Service, prompt: str, tokens: int, limit: int) -> None:
    assert count_tokens(service, prompt, model="shapes") == TokenCount(tokens, limit)


def test_it_is_the_encoders_count(service: Service) -> None:
    """Against CLIP's published example: "hello world" is 2 tokens, and rare words are several."""
    assert count_tokens(service, "hello world", model="shapes").tokens == 2
    assert count_tokens(service, "antidisestablishmentarianism", model="shapes").tokens > 3


def test_what_cannot_be_read_is_said(service: Service) -> None:
    with pytest.raises(UnknownNameError):
        count_tokens(service, "a", model="nobody")
    with pytest.raises(InvalidInputError, match="brackets"):
        count_tokens(service, "(" * 300, model="shapes")
