"""Which device and which number format, from the machine and the person's choice."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from gesso.errors import InvalidInputError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BIG_MODEL = 400_000_000
"""Parameters from which half precision pays on a CPU that has it."""


def pick_device(wanted: str = "auto") -> torch.device:
    """ "auto": CUDA, then MPS, then the CPU."""
    if wanted != "auto":
        try:
            device = torch.device(wanted)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise InvalidInputError(f"The device {wanted!r} cannot be used: {str(error).splitlines()[0]}.") from None
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


def pick_dtype(device: torch.device, parameters: int, wanted: str = "auto") -> torch.dtype:
    """The compute dtype of denoiser and text encoders for a model of so many parameters."""
    if wanted != "auto":
        if wanted not in DTYPES:
            raise InvalidInputError(f"Unknown dtype {wanted!r}.", hint=f"Known: auto, {', '.join(DTYPES)}.")
        return DTYPES[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if parameters >= BIG_MODEL and cpu_has_bf16() else torch.float32


def pick_vae_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The VAE overflows in fp16 (SDXL's surely), so it runs in bf16 or fp32."""
    return torch.float32 if dtype is torch.float16 or device.type == "cpu" else dtype


@functools.cache
def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself (AVX-512 BF16, AMX, Arm BF16)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(mark in flags for mark in ("avx512_bf16", "amx_bf16", " bf16"))
