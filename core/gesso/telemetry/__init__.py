"""The metric contract: one publisher a process, times from job events, memory by process. Torch-free."""

from __future__ import annotations

from gesso.telemetry.memory import device_memory, memory, system_memory
from gesso.telemetry.publisher import Publisher
from gesso.telemetry.times import JobTimes

__all__ = ["JobTimes", "Publisher", "device_memory", "memory", "system_memory"]
