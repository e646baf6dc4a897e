"""Whether bitsandbytes works on this machine. Nothing heavy is imported before it is asked."""

from __future__ import annotations

import functools
import importlib
import logging

_log = logging.getLogger(__name__)
# diffusers imports bitsandbytes wherever it is installed, and that then asks everybody for a package it can do without.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


@functools.cache
def why_not() -> str:
    """ "" when bitsandbytes can be used, else why it cannot. Called where torch may be imported."""
    try:
        functional = importlib.import_module("bitsandbytes.functional")
        torch = importlib.import_module("torch")
        functional.quantize_4bit(torch.ones(1, 64), quant_type="nf4", blocksize=64)
    except Exception as error:
        # Anything may go wrong where a library of its own does not fit the machine.
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        _log.warning("bitsandbytes cannot be used: %s", reason)
        return reason
    return ""
