"""Everything on the page arrives through hooks: the shell's sources name no tab, panel or feature of anybody's."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL = ROOT / "ui" / "gesso_ui"
WORDS = {"outputs", "styles", "tiling", "grid", "samplers", "schedulers", "guidance", "operators", "adapters"}
"""Features whose name is also a word of the language, or a registry's."""


def test_the_shell_names_no_feature():
    features = [path.parent.name for path in (ROOT / "builtin_extensions" / "gesso_builtin").glob("*/plugin.py")]
    features += [path.name for path in (ROOT / "plugins").glob("*") if not path.name.startswith("_")]
    names = "|".join(sorted(set(features) - WORDS))
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sorted(SHELL.rglob("*"))
        if path.suffix in (".py", ".js", ".css")
        for match in re.finditer(rf"[\"'`#.-]({names})[\"'`/ .-]", path.read_text("utf-8"))
    ]
    assert found == []
    assert len(features) > 20
