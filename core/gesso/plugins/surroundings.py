"""What a plugin may leave changed when it is imported, put back: streams, folder, arguments, locale."""

from __future__ import annotations

import contextlib
import io
import locale
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

log = logging.getLogger("gesso.plugins")


class _Capped(io.RawIOBase):
    """Keeps the first bytes written to it and drops the rest."""

    def __init__(self, limit: int = 4000) -> None:
        super().__init__()
        self.kept = bytearray()
        self._limit = limit

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.kept += view[: max(0, self._limit - len(self.kept))]
        return view.nbytes


class Descriptors:
    """The standard output and error descriptors: output goes to error meanwhile, and what is closed is opened again."""

    def __init__(self) -> None:
        self._saved: dict[int, int] = {}
        for number in (1, 2):
            with contextlib.suppress(OSError):
                self._saved[number] = os.dup(number)
        self._wanted = dict(self._saved)
        if 1 in self._saved and 2 in self._saved:
            self._wanted[1] = self._saved[2]
            os.dup2(self._saved[2], 1)

    def restore(self) -> None:
        """Undo `os.close(1)` and its like."""
        for number, copy in self._wanted.items():
            if _file_of(number) != _file_of(copy):
                os.dup2(copy, number)

    def release(self) -> None:
        """Back to what they were before."""
        for number, copy in self._saved.items():
            os.dup2(copy, number)
            os.close(copy)


def _file_of(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Place:
    """Arguments, working folder and locale of the process: a snapshot to return to."""

    def __init__(self) -> None:
        self._argv = list(sys.argv)
        self._locale = locale.setlocale(locale.LC_ALL)
        try:
            self._folder = os.getcwd()  # noqa: PTH109 - compared as text for each plugin
        except OSError:
            self._folder = ""

    def restore(self) -> list[str]:
        """Put them back; says what was changed."""
        changed = []
        if sys.argv != self._argv:
            sys.argv[:] = self._argv
            changed.append("sys.argv")
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)
            changed.append("the locale")
        with contextlib.suppress(OSError):
            if self._folder and _folder() != self._folder:
                os.chdir(self._folder)
                changed.append("the working folder")
        return changed


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it has been removed
        return ""


_close, _closerange = os.close, os.closerange
_keepers = 0


def _close_but_streams(fd: int) -> None:
    if fd > 2:
        _close(fd)
    else:
        log.warning("Descriptor %d was to be closed; it stays open.", fd)


def _closerange_but_streams(fd_low: int, fd_high: int, /) -> None:
    _closerange(max(fd_low, 3), fd_high)


def _keep_streams(number: int) -> None:
    """While anybody keeps them, `os.close` leaves the standard descriptors open.

    Once descriptor 1 is closed, the next file that any thread opens (the database, a lock) gets that number, and what
    is printed goes into it: to open it again afterwards comes too late.
    """
    global _keepers
    _keepers += number
    os.close = _close_but_streams if _keepers else _close
    os.closerange = _closerange_but_streams if _keepers else _closerange


class Streams:
    """The process's standard output and error: kept open, and opened again from copies where that was got round."""

    def __init__(self) -> None:
        _keep_streams(+1)
        self._kept = True
        self._copies: dict[int, int] = {}
        for number in (1, 2):
            with contextlib.suppress(OSError):
                self._copies[number] = os.dup(number)

    def restore(self) -> list[str]:
        """Open again what was closed; says what. One that only leads elsewhere is left: that may be meant."""
        closed = []
        for number, name in ((1, "stdout"), (2, "stderr")):
            if number in self._copies and _file_of(number) is None:
                os.dup2(self._copies[number], number)
                closed.append(f"descriptor {number}")
            if getattr(getattr(sys, name), "closed", False):
                setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", errors="replace", closefd=False))
                closed.append(f"sys.{name}")
        return closed

    def release(self) -> None:
        """Let them go."""
        if self._kept:
            self._kept = False
            _keep_streams(-1)
        while self._copies:
            os.close(self._copies.popitem()[1])


class Surroundings:
    """A snapshot to return to after each plugin, streams included."""

    def __init__(self) -> None:
        self._place = Place()
        self.descriptors = Descriptors()
        self._capped = _Capped()
        self._sink = self._new_sink()
        sys.stdout = self._sink

    def _new_sink(self) -> TextIO:
        return io.TextIOWrapper(io.BufferedWriter(self._capped), "utf-8", "replace", write_through=True)

    def restore(self) -> None:
        """Undo what the last plugin changed, so that the next is not blamed for it. Prints go nowhere meanwhile."""
        if self._sink.closed:
            self._capped = _Capped()
            self._sink = self._new_sink()
        sys.stdout = self._sink
        self.descriptors.restore()
        self._place.restore()

    def printed(self) -> str:
        """The beginning of what plugins printed."""
        return self._capped.kept.decode(errors="replace")


class _Shield:
    """What the threads that shield themselves at one time share: the first puts the sink up, the last takes it down.

    Each with a copy of its own would bring back the copy's sink where another had brought back the real stream.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._streams = sys.stdout, sys.__stdout__
        self._surroundings: Surroundings | None = None

    def up(self) -> Surroundings:
        with self._lock:
            if self._surroundings is None:
                self._streams = sys.stdout, sys.__stdout__
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    sys.stdout.flush()
                self._surroundings = Surroundings()
            self._users += 1
            return self._surroundings

    def down(self) -> None:
        with self._lock:
            surroundings = self._surroundings
            assert surroundings is not None
            surroundings.restore()
            self._users -= 1
            if self._users:
                return
            self._surroundings = None
            surroundings.descriptors.release()
            sys.stdout, sys.__stdout__ = self._streams  # type: ignore[misc]  # final for all but those who restore it
            if getattr(sys.stdout, "closed", False):
                sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="replace", closefd=False)
        if text := surroundings.printed():
            log.debug("Printed while plugins were loaded: %s", text)


_shield = _Shield()


@contextmanager
def shielded() -> Iterator[Surroundings]:
    """While plugins are imported, nothing they print reaches stdout, where a JSON document may be expected.

    Printing goes to a capped buffer, writing to descriptor 1 goes to stderr; a stream a plugin closes is opened again.
    That holds for all threads, so a process with several fills its registries before it starts them (`Host.fill`).
    """
    surroundings = _shield.up()
    try:
        yield surroundings
    finally:
        _shield.down()
