#!/usr/bin/env python3
"""Start gesso from a clone: make .venv, install with the tested versions, run a gesso command.

    python3 launch.py                       gesso's default: the page
    python3 launch.py generate "a cat"      any gesso command; `--help` lists them
    python3 launch.py test [pytest args]    install the test tools as well and run the whole suite
    python3 launch.py --reinstall [...]     make .venv anew first

The first start installs; later ones see by a stamp that nothing has changed and start at once. Progress goes to stderr,
so `generate --json` prints its document and nothing else. pip's own settings hold: PIP_*, HTTPS_PROXY, pip.conf.
GESSO_TORCH_INDEX names one more package index, for another build of torch (CPU only, ROCm).

Standard library only, and annotations in quotes where an old Python would stumble: it must read far enough to be told.
"""

import contextlib
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

OLDEST = (3, 11)
WINDOWS = os.name == "nt"
HEARTBEAT = 20.0  # seconds between signs of life where a line cannot be overwritten

# What venv, pip or the system said -> what to do about it. The first match is shown.
HINTS = (
    (
        r"No space left on device|Errno 28\b|WinError 112\b",
        "The disk is full: the install needs about 4 GB (10 GB with CUDA) under {root}.",
    ),
    (
        r"Read-only file system|Permission denied|Errno 13\b|Errno 30\b|WinError 5\b",
        "{root} cannot be written to: copy the folder to where you may write.",
    ),
    (
        r"ProxyError|407 Proxy|Cannot connect to proxy|Tunnel connection failed",
        "The proxy did not let this through: check HTTPS_PROXY (http://user:password@host:port).",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerification",
        "A certificate is not trusted: set PIP_CERT to the file with your organisation's certificates.",
    ),
    (
        r"getaddrinfo|name resolution|servname|ConnectionError|(Connect|Read)Timeout|Max retries|Connection re[fs]",
        "The package index cannot be reached. {network} Downloads so far are kept.",
    ),
    (
        r"requires a different Python|No matching distribution|not a supported wheel",
        "A tested version has no build for Python {python} on {machine}: try another Python from 3.11 to 3.13.",
    ),
    (
        r"MemoryError|Cannot allocate memory|ended by signal 9\b",
        "Memory ran out: close other programs, then start again.",
    ),
)


class LaunchError(Exception):
    """Something the person must see to; shown as it stands, without a traceback."""


class Paths:
    """Where things are, from the clone's root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / ("Scripts/python.exe" if WINDOWS else "bin/python")
        self.log = self.venv / "install.log"
        self.unfinished = self.venv / "gesso.unfinished"  # there while pip changes the environment
        self.lock = root / ".launch.lock"

    def stamp(self, extra: str) -> Path:
        return self.venv / ("gesso-%s.stamp" % (extra or "run"))

    def projects(self) -> "list[Path]":
        """The root project, then every bundled plugin; folders like plugins/_template are no plugins."""
        found = (self.root / "plugins").glob("[!_.]*/pyproject.toml")
        return [self.root, *sorted(path.parent for path in found)]


def say(text: str) -> None:
    print("gesso: " + text, file=sys.stderr, flush=True)


def hint_for(text: str, root: Path) -> str:
    machine = "%s %s" % (platform.system(), platform.machine())
    import urllib.request  # slow, and needed only here

    # A newer pip does not say that it was the proxy that refused.
    proxied = {"http", "https", "all"} & set(urllib.request.getproxies())
    network = (
        "It is asked for through a proxy: check HTTPS_PROXY."
        if proxied
        else "Is there a network, a proxy (HTTPS_PROXY)?"
    )
    facts = {"root": root, "python": platform.python_version(), "machine": machine, "network": network}
    return next((hint.format(**facts) for pattern, hint in HINTS if re.search(pattern, text)), "")


# ---- what must hold before an install --------------------------------------------------------------------------------


def python_version() -> "tuple[int, ...]":
    return tuple(sys.version_info[:3])


def runs(name: str) -> bool:
    """Whether there is such a program and it works; version managers leave empty shells behind."""
    program, quiet = shutil.which(name), subprocess.DEVNULL
    return program is not None and subprocess.call([program, "--version"], stdout=quiet, stderr=quiet) == 0


def check_python() -> None:
    version = python_version()
    if version < OLDEST:
        names = ["python3.%d" % minor for minor in range(20, OLDEST[1] - 1, -1)]
        newer = next(filter(runs, names), None)
        advice = (
            "Start it with: %s launch.py" % newer if newer else "Install a newer one from your system or python.org."
        )
        found = ".".join(map(str, version))
        raise LaunchError(
            "Python %d.%d or newer is needed; this is %s (%s). %s" % (*OLDEST, found, sys.executable, advice)
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise LaunchError(
            "this Python (%s) cannot make environments: its venv or ensurepip module is missing. On Debian and Ubuntu: "
            "sudo apt install python3-venv. Then start again." % sys.executable
        ) from None


# ---- is the environment the one these files ask for? -----------------------------------------------------------------


def fingerprint(paths: Paths) -> "dict[str, str]":
    """What an installed environment depends on: the interpreter, the place, the files that say what is installed."""
    digest = hashlib.sha256()
    for path in [paths.root / "constraints.txt"] + [project / "pyproject.toml" for project in paths.projects()]:
        digest.update(path.relative_to(paths.root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    version = ".".join(map(str, python_version()[:2]))
    python = "%s %s %s" % (platform.python_implementation(), version, platform.machine())
    return {"python": python, "place": str(paths.root), "files": digest.hexdigest()}


def read_stamp(paths: Paths, extra: str) -> "dict[str, str]":
    try:
        stamp = json.loads(paths.stamp(extra).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_installed(paths: Paths, extra: str) -> bool:
    return read_stamp(paths, extra) == fingerprint(paths) and paths.python.exists() and not paths.unfinished.exists()


def reason_to_rebuild(paths: Paths, now: "dict[str, str]") -> str:
    """Why the environment cannot be kept and installed over; empty if it can."""
    if paths.unfinished.exists():
        return "the last install was interrupted"
    if (paths.venv / "pyvenv.cfg").exists() and not paths.python.exists():
        return "its Python is gone"
    stamp = read_stamp(paths, "") or read_stamp(paths, "test")
    if stamp.get("place", now["place"]) != now["place"]:
        return "the folder was moved"
    if stamp.get("python", now["python"]) != now["python"]:
        return "Python changed from %s to %s" % (stamp["python"], now["python"])
    return ""


# ---- the install -----------------------------------------------------------------------------------------------------


def write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextlib.contextmanager
def only_one(paths: Paths):  # type: ignore[no-untyped-def]
    """Hold the launch lock; wait, saying so, while another launch installs. The system frees it when a process dies."""
    with paths.lock.open("a+b") as file:
        waiting = False
        while not try_lock(file.fileno()):
            if not waiting:
                say("another launch is installing here; waiting for it")
            waiting = True
            time.sleep(0.3)
        yield file.fileno()


def try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Install:
    """One run of venv and pip under the launch lock; `run` starts its commands."""

    def __init__(self, paths: Paths, lock: int) -> None:
        self.paths = paths
        # Commands inherit the lock: should this process be killed, the next launch waits for the orphaned pip to end.
        self.inherited = () if WINDOWS else (lock,)

    def bring_up_to_date(self, extra: str, rebuild: bool) -> None:
        """Install what the project files ask for; the stamps are written last, so that an interruption is seen."""
        paths, now = self.paths, fingerprint(self.paths)
        reason = "asked to" if rebuild else reason_to_rebuild(paths, now)
        if reason and paths.venv.exists():
            say("making .venv anew: %s" % reason)
            self.clear()
        paths.venv.mkdir(exist_ok=True)
        write_whole(paths.log, "")
        for old in ("", "test"):
            if paths.stamp(old).exists() and read_stamp(paths, old) != now:
                paths.stamp(old).unlink()
        if not paths.python.exists():
            # In an active environment sys.executable is that environment's; the Python below outlives it.
            base = getattr(sys, "_base_executable", None) or sys.executable
            self.run("making .venv with Python %s" % platform.python_version(), [base, "-m", "venv", str(paths.venv)])
        write_whole(paths.unfinished, "")
        code = self.pip(extra)
        if code >= 0:
            paths.unfinished.unlink()  # pip ended by itself and undoes what it began: the environment can be kept
        if code != 0:
            raise LaunchError(explain_failure(paths, code))
        self.probe_plugins()
        for done in {"", extra}:
            write_whole(paths.stamp(done), json.dumps(now, indent=1))

    def clear(self) -> None:
        venv = self.paths.venv
        if any(venv.iterdir()) and not any((venv / name).exists() for name in ("pyvenv.cfg", self.paths.log.name)):
            raise LaunchError("%s is not a Python environment; move it away, then start again." % venv)
        shutil.rmtree(str(venv))

    def pip(self, extra: str) -> int:
        """Everything in one command, so that pip resolves the plugins' needs and ours together."""
        projects = [project.relative_to(self.paths.root).as_posix() for project in self.paths.projects()]
        plugins = len(projects) - 1
        if extra:
            projects[0] += "[%s]" % extra
        index = os.environ.get("GESSO_TORCH_INDEX")
        command = [str(self.paths.python), "-P", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        command += ["--progress-bar", "off", "-c", "constraints.txt"]
        command += ["--extra-index-url", index] if index else []
        command += [part for project in projects for part in ("-e", project)]
        what = "gesso" + (" and %d bundled plugin%s" % (plugins, "s" * (plugins > 1)) if plugins else "")
        what += ", with the test tools" if extra else ""
        return self.run("installing %s (the first time this downloads much)" % what, command, check=False)

    def probe_plugins(self) -> None:
        """Look at the plugins now, so that later starts need not. What a plugin does wrong is gesso's to show."""
        command = [str(self.paths.python), "-P", "-m", "gesso", "plugins", "probe"]
        if self.run("checking the plugins", command, check=False) != 0:
            say("the plugins could not be checked; see %s" % self.paths.log)

    def run(self, title: str, command: "list[str]", check: bool = True) -> int:
        """Run one command with its output in the log; show the title, signs of life and the time taken."""
        progress = Progress(title)
        with self.paths.log.open("a", encoding="utf-8") as log:
            log.write("$ %s\n" % " ".join(map(shlex.quote, command)))
            child = subprocess.Popen(
                command,
                cwd=str(self.paths.root),
                env=dict(os.environ, PYTHONIOENCODING="utf-8"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                pass_fds=self.inherited,
            )
            reader = threading.Thread(target=progress.follow, args=(child.stdout, log), daemon=True)
            reader.start()
            try:
                while child.poll() is None:
                    progress.tick()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(0.5)
            finally:
                if child.poll() is None:
                    child.terminate()
                    child.wait()
                reader.join(5)
        progress.end(child.returncode == 0)
        if check and child.returncode != 0:
            raise LaunchError(explain_failure(self.paths, child.returncode))
        return child.returncode


def explain_failure(paths: Paths, code: int) -> str:
    text = paths.log.read_text(encoding="utf-8", errors="replace").rstrip()
    if code < 0:
        text += "\nended by signal %d" % -code
    last = "\n".join("  | " + line for line in text.splitlines()[-12:])
    return "the install failed (exit %d). The end of %s:\n%s\n%s" % (code, paths.log, last, hint_for(text, paths.root))


class Progress:
    """One line a phase: overwritten in a terminal, a sign of life now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.line = ""
        self.started = time.monotonic()
        self.next_beat = HEARTBEAT
        self.terminal = sys.stderr.isatty()
        if not self.terminal:
            say(title)

    def follow(self, source, log) -> None:  # type: ignore[no-untyped-def]
        for line in source:
            log.write(line)
            log.flush()
            if not line.startswith(("WARNING", "    ", "  Attempting uninstall")):  # pip's asides
                self.line = line.strip()

    def tick(self) -> None:
        elapsed = time.monotonic() - self.started
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            text = "gesso: %s, %.0f s  %s" % (self.title, elapsed, self.line)
            print("\r" + text[:width].ljust(width), end="", file=sys.stderr, flush=True)
        elif elapsed >= self.next_beat:
            say("  %.0f s  %s" % (elapsed, self.line[:100]))
            self.next_beat = elapsed + HEARTBEAT

    def end(self, good: bool) -> None:
        if self.terminal:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1), end="\r", file=sys.stderr)
        say("%s: %s after %.0f s" % (self.title, "done" if good else "failed", time.monotonic() - self.started))


def prepare(paths: Paths, extra: str, rebuild: bool) -> None:
    """Install unless the stamp says that nothing has changed; a complete install needs no write access."""
    if is_installed(paths, extra) and not rebuild:
        return
    with only_one(paths) as lock:
        # another launch may have done it while we waited
        if rebuild or not is_installed(paths, extra):
            Install(paths, lock).bring_up_to_date(extra, rebuild)


# ---- the command -----------------------------------------------------------------------------------------------------


def hand_over(command: "list[str]") -> int:
    """Become the command where the system can; on Windows wait for it, leaving Ctrl+C to it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if not WINDOWS:
        os.execv(command[0], command)
    child = subprocess.Popen(command)
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            return child.wait()


def main(arguments: "list[str]", root: Path) -> int:
    rebuild = arguments[:1] == ["--reinstall"]
    arguments = arguments[1:] if rebuild else arguments
    testing = arguments[:1] == ["test"]
    paths = Paths(root)
    try:
        check_python()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that pip is ended with us
        prepare(paths, "test" if testing else "", rebuild)
        # -P: the clone's folders must not be importable just because gesso is started from there.
        python = [str(paths.python), "-P", "-m"]
        if testing:
            os.chdir(str(root))
            return hand_over([*python, "pytest", *arguments[1:]])
        return hand_over([*python, "gesso", *arguments])
    except LaunchError as error:
        say(str(error))
        return 1
    except OSError as error:
        say("cannot start: %s. %s" % (error, hint_for(str(error), root)))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next start goes on from here")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parent))
