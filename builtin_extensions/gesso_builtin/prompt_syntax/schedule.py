"""`[from:to:when]` and `[a|b]`: which text holds in which steps. A1111's grammar, read in one pass with a stack."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Union

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
_TOKEN = re.compile(r"\\.|[\[\]():|]|[^\\\[\]():|]+", re.DOTALL)

Node = Union[str, "Scheduled", "Alternate"]
Nodes = list[Node]


@dataclass(slots=True)
class Scheduled:
    """`before` up to and with step `when`, `after` from then on."""

    before: Nodes
    after: Nodes
    when: str


@dataclass(slots=True)
class Alternate:
    """One option a step, in turn."""

    options: list[Nodes]


@dataclass(slots=True)
class _Frame:
    """What stands between an opening bracket and here: parts, and the separators between them."""

    opener: str
    parts: list[Nodes] = field(default_factory=lambda: [[]])
    separators: list[str] = field(default_factory=list)

    def literal(self, closer: str = "") -> Nodes:
        """The bracket and its content as text, with the constructs inside kept."""
        nodes: Nodes = [self.opener, *self.parts[0]]
        for separator, part in zip(self.separators, self.parts[1:], strict=True):
            nodes += [separator, *part]
        return [*nodes, closer] if closer else nodes


def parse_schedule(text: str) -> Nodes:
    """The text as nodes. What is no construct stays as it is written.

    As in A1111 a text the grammar has no place for (a stray `|`, a backslash at the very end) is taken literally as a
    whole, and brackets that do not match are text.
    """
    stack = [_Frame("")]
    position = 0
    for token in _TOKEN.finditer(text):
        if token.start() != position:
            return [text]
        position = token.end()
        _take(token.group(), stack)
    if position != len(text):
        return [text]
    _flatten(stack)
    return [text] if "|" in stack[0].separators else stack[0].literal()[1:]


def _take(token: str, stack: list[_Frame]) -> None:
    frame = stack[-1]
    if token in "([" and len(token) == 1:
        stack.append(_Frame(token))
    elif token in (":", "|"):
        frame.separators.append(token)
        frame.parts.append([])
    elif token in (")", "]"):
        if frame.opener != {")": "(", "]": "["}[token]:
            # A closer that fits nothing open: no bracket around it can be a construct any more.
            _flatten(stack)
            stack[0].parts[-1].append(token)
            return
        stack.pop()
        _close(frame, token, stack)
    else:
        frame.parts[-1].append(token)


def _flatten(stack: list[_Frame]) -> None:
    """Make every open bracket text."""
    while len(stack) > 1:
        frame = stack.pop()
        _merge(stack[-1], frame, "")


def _close(frame: _Frame, closer: str, stack: list[_Frame]) -> None:
    kinds = set(frame.separators)
    outer = stack[-1]
    if closer == "]" and kinds == {"|"}:
        outer.parts[-1].append(Alternate(frame.parts))
    elif closer == "]" and kinds == {":"} and len(frame.parts) <= 3 and (when := _number(frame.parts[-1])) is not None:
        before: Nodes = frame.parts[0] if len(frame.parts) == 3 else []
        outer.parts[-1].append(Scheduled(before, frame.parts[-2], when))
    elif not kinds or (closer == ")" and frame.separators == [":"]):
        outer.parts[-1].extend(frame.literal(closer))
    else:
        # Not a construct, so its brackets and separators are text outside of any bracket.
        _merge(outer, frame, closer)
        _flatten(stack)


def _merge(outer: _Frame, frame: _Frame, closer: str) -> None:
    """Put a frame's text into the one around it; a `|` stays a separator, since it is allowed nowhere else."""
    outer.parts[-1] += [frame.opener, *frame.parts[0]]
    for separator, part in zip(frame.separators, frame.parts[1:], strict=True):
        if separator == "|":
            outer.separators.append("|")
            outer.parts.append(list(part))
        else:
            outer.parts[-1] += [separator, *part]
    if closer:
        outer.parts[-1].append(closer)


def _number(nodes: Nodes) -> str | None:
    if not all(isinstance(node, str) for node in nodes):
        return None
    match = _NUMBER.fullmatch("".join(str(node) for node in nodes))
    return match[1] if match else None


# --- which text when ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clock:
    """How `when` becomes a step. In a second pass whole numbers go on counting and fractions run from 1 to 2."""

    steps: int
    passed: int = 0
    old: bool = False
    """Before A1111 1.6: a value below 1 is a fraction, any other a step, and the second pass starts anew."""

    def step(self, when: str) -> int:
        value = float(when)
        if self.old:
            value = value * self.steps if value < 1 else value
        elif "." in when:
            value = (value - (1.0 if self.passed else 0.0)) * self.steps
        else:
            value -= self.passed
        return min(self.steps, int(max(-1e9, min(1e9, value))))


def expand(text: str, clock: Clock) -> list[tuple[int, str]]:
    """[(last step it holds in, text)], steps counted from 1."""
    nodes = parse_schedule(text)
    ends = {clock.steps}
    _collect(nodes, clock, ends)
    return [(end, _at(nodes, end, clock)) for end in sorted(ends)]


def _collect(nodes: Nodes, clock: Clock, ends: set[int]) -> None:
    todo = [nodes]
    while todo:
        for node in todo.pop():
            if isinstance(node, Scheduled):
                step = clock.step(node.when)
                if step >= 1:
                    ends.add(step)
                todo += [node.before, node.after]
            elif isinstance(node, Alternate):
                ends.update(range(1, clock.steps + 1))
                todo += node.options


def _at(nodes: Nodes, step: int, clock: Clock) -> str:
    """The text of one step, without recursion, so that depth costs nothing."""
    done: list[str] = []
    todo: list[Node] = list(reversed(nodes))
    while todo:
        node = todo.pop()
        if isinstance(node, Scheduled):
            todo.extend(reversed(node.before if step <= clock.step(node.when) else node.after))
        elif isinstance(node, Alternate):
            todo.extend(reversed(node.options[(step - 1) % len(node.options)]))
        else:
            done.append(node)
    return "".join(done)
