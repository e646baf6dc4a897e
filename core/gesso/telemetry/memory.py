"""Memory by process."""

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


def device_memory(process: str) -> list[Metric]:
    """What this process holds on CUDA devices, in use (`memory.device`) and at most so far (`memory.device_peak`).

    Empty where torch was not imported or no device is in use; torch is never imported for it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    metrics = []
    for number in range(torch.cuda.device_count()):
        labels = {"process": process, "device": f"cuda:{number}"}
        used, peak = torch.cuda.memory_reserved(number), torch.cuda.max_memory_reserved(number)
        metrics.append(Metric(name="memory.device", value=used, unit="bytes", labels=labels))
        metrics.append(Metric(name="memory.device_peak", value=peak, unit="bytes", labels=labels))
    return metrics
