"""The samplers. Each makes some steps like Euler's method first."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import time

from gesso import Step


def euler(denoise, x, sigmas, on_step, pause=0.0, steps=None):
    pairs = list(zip(sigmas.tolist(), sigmas.tolist()[1:], strict=False))
    for index, (sigma, following) in enumerate(pairs[:steps]):
        x0 = denoise(x, sigma).x0
        x = x0 + (x - x0) * (following / sigma)
        time.sleep(pause)
        on_step(Step(index, len(pairs), sigma, following, x, x0))
    return x


def segfault(denoise, x, sigmas, *, model, noise, on_step, options):
    euler(denoise, x, sigmas, on_step, steps=1)
    return ctypes.string_at(8)


def abort(denoise, x, sigmas, *, model, noise, on_step, options):
    """With a process of its own, which nobody but the worker's session knows of."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL)
    os.abort()


def endless(denoise, x, sigmas, *, model, noise, on_step, options):
    euler(denoise, x, sigmas, on_step, steps=1)
    while True:
        time.sleep(0.01)


def endless_in_c(denoise, x, sigmas, *, model, noise, on_step, options):
    """A regular expression that backtracks for ever and holds Python's lock meanwhile: no other thread runs."""
    return re.match(r"(a+)+$", "a" * 100 + "b")


def flood(denoise, x, sigmas, *, model, noise, on_step, options):
    line = "x" * 99 + "\n"
    for _ in range(100):
        sys.stdout.write(line * 500)
        os.write(1, line.encode() * 500)
    print("the last word", file=sys.stderr)
    return euler(denoise, x, sigmas, on_step)


def leave(denoise, x, sigmas, *, model, noise, on_step, options):
    sys.exit(3)


def fail(denoise, x, sigmas, *, model, noise, on_step, options):
    raise ValueError("no luck")


def garbage(denoise, x, sigmas, *, model, noise, on_step, options):
    """Writes into the pipe that is the worker's own."""
    for number in range(3, 64):
        try:
            os.write(number, b"this is no frame, whatever else it is")
        except OSError:
            pass
    return euler(denoise, x, sigmas, on_step, pause=0.1)


def slow(denoise, x, sigmas, *, model, noise, on_step, options):
    return euler(denoise, x, sigmas, on_step, pause=0.1)


def deaf(denoise, x, sigmas, *, model, noise, on_step, options):
    """Never calls on_step, so it learns nothing of a cancel."""
    time.sleep(600)
    return x


def oblivious(denoise, x, sigmas, *, model, noise, on_step, options):
    """Steps on whatever on_step raises, and so makes progress for ever."""
    for index in range(10**6):
        try:
            on_step(Step(index, 10**6, 1.0, 1.0, x, x))
        except Exception:
            pass
        time.sleep(0.02)
    return x
