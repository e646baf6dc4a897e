"""What a file of full differences looks like: every tensor is named after a weight, and ends in .diff or .diff_b."""

from __future__ import annotations

from gesso import AdapterMatch, Header

LEAVES = {"diff": "weight", "diff_b": "bias"}


def recognise(header: Header) -> AdapterMatch | None:
    """A match when nothing else is in the file; LoRA files with a few differences among them are another kind's."""
    ends = {name.rpartition(".")[2] for name in header.tensors}
    if not ends or not ends <= set(LEAVES):
        return None
    return AdapterMatch(family=header.metadata.get("modelspec.architecture", ""))
