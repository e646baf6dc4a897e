"""pip's failures as one explanation: which distribution asks for what, and what stands against it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gesso.plugins.installs.environment import Conflict, Dists, plain, who_needs
from gesso.plugins.installs.errors import InstallError

UNCHANGED = "Nothing was changed."
# What pip says -> what to do about it. The first match is shown.
_CAUSES = (
    (
        r"NewConnectionError|ConnectionError|name resolution|getaddrinfo|(Connect|Read)Timeout|ProxyError|Max retries",
        "The package index cannot be reached, so what the plugin needs cannot be found.",
        "Is there a network, a proxy (HTTPS_PROXY)? Without one, give a wheel, or --index a file.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "The package index's certificate is not trusted.",
        "Set PIP_CERT to the file with your organisation's certificates.",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "A downloaded file is not the one that was named: its hash differs.",
        "It was damaged or exchanged; do not install it before you know why.",
    ),
    (r"No space left on device|Errno 28\b", "The disk is full.", ""),
    (r"Permission denied|Read-only file system", "A folder cannot be written to.", ""),
)


def explain(text: str, pins: Mapping[str, str], dists: Dists) -> InstallError:
    """An error for people from what pip said. `pins` is the core, `dists` what is installed."""
    for pattern, message, hint in _CAUSES:
        if re.search(pattern, text):
            return InstallError(f"{message} {UNCHANGED}", hint=f"{hint}{_quoted(text, pattern)}")
    if "ResolutionImpossible" in text:
        return InstallError(_conflict(text, pins, dists))
    if found := re.search(r"No matching distribution found for (.+?)(?: \(from .*\))?$", text, re.MULTILINE):
        return InstallError(_not_found(found.group(1).strip(), text, pins))
    if "subprocess-exited-with-error" in text or "Failed building wheel" in text:
        return InstallError(f"It cannot be built. {UNCHANGED} pip says:\n{_tail(text)}")
    return InstallError(f"pip failed. {UNCHANGED} It says:\n{_tail(text)}")


def _conflict(text: str, pins: Mapping[str, str], dists: Dists) -> str:
    """Who asks for what, line by line, as pip's resolver found it."""
    wants = re.findall(r"^ {4}(\S+) (\S+?)(?:\[.*\])? depends on (.+)$", text, re.MULTILINE)
    asked = re.findall(r"^ {4}The user requested (?!\(constraint\))(.+)$", text, re.MULTILINE)
    held = re.findall(r"^ {4}The user requested \(constraint\) (.+)$", text, re.MULTILINE)
    lines = [f"{name} {version}{_brought_by(name, text)} needs {need}" for name, version, need in wants]
    lines += [f"you ask for {line}" for line in asked]
    lines += [_why_held(line, pins, dists) for line in held]
    if not lines:
        return f"What is asked for does not go together. {UNCHANGED} pip says:\n{_tail(text)}"
    core = any(_name(line) in pins for line in held)
    first = (
        "It would change a package that gesso's core runs on, which no plugin may do."
        if core
        else "What is asked for does not go together."
    )
    advice = (
        "Use a version of the plugin that is made for these, or tell its author."
        if core
        else "Install only one of them, or tell their authors."
    )
    return "\n  ".join([f"{first} {UNCHANGED}", *dict.fromkeys(lines)]) + f"\n{advice}"


def _brought_by(name: str, text: str) -> str:
    """Who brings a distribution along, from what pip said while it collected."""
    package = re.escape(name).replace(r"\-", "[-_.]")
    found = re.search(
        rf"^(?:Collecting|Processing) (?:\S*/)?{package}\b.* \(from ([^)]+)\)", text, re.MULTILINE | re.IGNORECASE
    )
    return f" (for {found.group(1)})" if found else ""


def _why_held(line: str, pins: Mapping[str, str], dists: Dists) -> str:
    """Why a constraint of ours is one: the core's version, or another plugin's need."""
    name = _name(line)
    if name in pins:
        users = [str(dist) for dist, _ in who_needs(name, dists) if dist.name in pins]
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        for_whom = f" for {', '.join(users[:3])}{more}" if users else ""
        return f"the core keeps {name} {pins[name]}{for_whom}"
    users = [f"{dist} needs {plain(need)}" for dist, need in who_needs(name, dists)]
    return f"installed: {'; '.join(users)}" if users else f"held: {line}"


def _name(line: str) -> str:
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement:
        return line


def _not_found(what: str, text: str, pins: Mapping[str, str]) -> str:
    found = re.search(r"satisfies the requirement .+? \(from ([^)]*?)\)? ?\(from versions: ([^)]*)\)", text)
    by = re.search(r"satisfies the requirement \S+ \(from (?!versions)([^)]+)\)", text)
    versions = re.search(r"\(from versions: ([^)]*)\)", text)
    who = f", which {by.group(1)} needs," if by else ""
    there = versions.group(1) if versions else ""
    if found is None and not by and there in ("", "none"):
        return f"There is no {what} in the package index that fits this Python. {UNCHANGED} Is the name right?"
    also = f"There is: {there}." if there and there != "none" else "The package index has none."
    core = f" The core keeps {pins[_name(what)]}." if _name(what) in pins else ""
    return f"{what}{who} cannot be found. {UNCHANGED} {also}{core}"


def clash(found: Iterable[Conflict], dists: Dists, news: Dists) -> InstallError:
    """What would be installed breaks what is: each need by name, and who brings the version that breaks it."""
    lines = []
    for conflict in found:
        name = canonicalize_name(conflict.need.name)
        for dist, need in who_needs(name, news):
            lines.append(f"{dist} needs {plain(need)}")
        old = dists[name].version if name in dists else "none"
        lines.append(f"the installed {conflict.dist} needs {plain(conflict.need)} ({name} {old} is installed)")
    text = "\n  ".join([f"It does not go together with what is installed. {UNCHANGED}", *dict.fromkeys(lines)])
    names = " or ".join(dict.fromkeys(conflict.dist.name for conflict in found))
    return InstallError(f"{text}\nUninstall {names} first, or tell their authors.")


def _quoted(text: str, pattern: str) -> str:
    """The line that was recognised, for those who know what it means; of hashes that differ, both."""
    lines = text.splitlines()
    shown = [line for line in lines if re.search(r"^\s+(Expected sha256|Got )", line)]
    shown = shown or [line for line in lines if re.search(pattern, line)][:1]
    return "".join(f"\n  {line.strip()[:300]}" for line in shown[:2])


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(f"  | {line}" for line in text.rstrip().splitlines()[-lines:])
