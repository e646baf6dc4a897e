"""Tables of a plugin's controls and their switches, made from its parameter records, into docs/features/NAME.md.

    python tools/controls_table.py flux            write the table between the page's marks
    python tools/controls_table.py flux --check    say whether the page has it as it is

The marks are `<!-- controls: RECORD -->` and `<!-- end -->`, each on a line of its own.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from gesso import CoreParams, Family, Lazy, Params, fields, label_of
from gesso.testing import load_host

CORE = "core"
"""What every generation has, whatever the plugin."""
ROOT = Path(__file__).resolve().parent.parent
HEAD = ("control", "switch", "default", "range", "infotext key", "A1111's REST name", "what it does")


def table(name: str, record: type[Params], families: Sequence[Family]) -> str:
    """One line a field: what the page calls it, its switches, default and bounds.

    A switch is `--set RECORD.FIELD=…`, a short option, and the name in a request; core's have the last alone.
    """
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for field, model, info in fields(record):
        switch = f"`{field if name == CORE else f'{name}.{field}'}`" + (f", `--{info.flag}`" if info.flag else "")
        cells = [
            label_of(field, info), switch, _default(field, model, families if name == CORE else ()),
            _range(model, info),
            info.infotext and f"`{info.infotext}`", info.api and f"`{info.api}`", model.description or "",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _default(field: str, model: FieldInfo, families: Sequence[Family]) -> str:
    """What a person finds: for core's fields what the plugin's family starts from, variant by variant."""
    started = [
        (variant, value)
        for family in families
        for variant, start in family.defaults.items()
        if (value := getattr(start, field, None)) is not None
    ]
    if not started:
        return _value(model.get_default(call_default_factory=True))
    first = started[0][1]
    others = ", ".join(f"{variant} {_value(value)}" for variant, value in started[1:] if value != first)
    return f"{_value(first)}{f' ({others})' if others else ''}"


def _value(default: Any) -> str:
    return "none" if default is None else f"{default:g}" if isinstance(default, float) else str(default)


def _range(model: Any, info: Any) -> str:
    if isinstance(info.choices, Lazy) or (isinstance(info.choices, str) and info.choices):
        return "a list"
    if info.choices:
        return ", ".join(map(str, info.choices))
    bounds = {type(m).__name__: m for m in model.metadata}
    low, high = getattr(bounds.get("Ge"), "ge", None), getattr(bounds.get("Le"), "le", None)
    return f"{low:g} to {high:g}{' ' + info.unit if info.unit else ''}" if low is not None and high is not None else ""


def filled(text: str, records: dict[str, type[Params]], families: Sequence[Family]) -> str:
    """The page with its tables as they are now."""

    def made(match: re.Match[str]) -> str:
        return f"{match[1]}\n{table(match[2], records[match[2]], families)}\n{match[3]}"

    return re.sub(r"(<!-- controls: (\w+) -->)\n.*?(<!-- end -->)", made, text, flags=re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plugin", help="a bundled plugin, or a built-in one")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is stale")
    arguments = parser.parse_args()
    page = ROOT / "docs" / "features" / f"{arguments.plugin}.md"
    with load_host(["builtin", arguments.plugin]) as host:
        records = {CORE: CoreParams, **{record.name: record.params for record in host.registry("params")}}
        before = page.read_text(encoding="utf-8")
        registry = host.registry("families")
        families = [family for family in registry if registry.owner(family.name).endswith(f":{arguments.plugin}")]
        after = filled(before, records, families)
    if arguments.check:
        print(f"{page.name}: {'as it is' if before == after else 'stale'}", file=sys.stderr)
        return int(before != after)
    page.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
