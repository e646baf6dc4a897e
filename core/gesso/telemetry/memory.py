"""Memory by process, of the machine, and of its devices."""

from __future__ import annotations

import os
import sys

import psutil

from gesso.types import Metric


def memory(process: str, pid: int | None = None) -> Metric:
    """Resident memory of a process in bytes: `memory.rss`, labelled with the process's part ("host", "worker").

    Pages of mapped model files count while they are resident. psutil.NoSuchProcess when it is gone.
    """
    number = os.getpid() if pid is None else pid
    value = psutil.Process(number).memory_info().rss
    return Metric(name="memory.rss", value=value, unit="bytes", labels={"process": process, "pid": str(number)})


def system_memory() -> list[Metric]:
    """What all programs use of the machine's memory (`memory.system`) and what there is (`memory.system_total`)."""
    found = psutil.virtual_memory()
    values = {"memory.system": found.total - found.available, "memory.system_total": found.total}
    return [Metric(name=name, value=value, unit="bytes") for name, value in values.items()]


def device_memory(process: str) -> list[Metric]:
    """What this process holds on CUDA devices, in use (`memory.device`) and at most so far (`memory.device_peak`); what
    all programs use of them (`memory.device_used`) and what there is (`memory.device_total`).

    Empty where torch was not imported or no device is in use; torch is never imported for it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    metrics = []
    for number in range(torch.cuda.device_count()):
        labels = {"process": process, "device": f"cuda:{number}"}
        free, total = torch.cuda.mem_get_info(number)
        values = {
            "memory.device": torch.cuda.memory_reserved(number),
            "memory.device_peak": torch.cuda.max_memory_reserved(number),
            "memory.device_used": total - free, "memory.device_total": total,
        }  # fmt: skip
        metrics += [Metric(name=name, value=value, unit="bytes", labels=labels) for name, value in values.items()]
    return metrics
