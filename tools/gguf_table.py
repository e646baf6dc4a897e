"""Write the table of block types in docs/features/gguf.md from the code of gesso-gguf, gguf-py and diffusers.

python tools/gguf_table.py           write the table
python tools/gguf_table.py --check   fail when it is not what it would write

What Forge and ComfyUI-GGUF decode in torch is noted here by hand, from their sources as of 2025.
"""

from __future__ import annotations

import sys
from pathlib import Path

from diffusers.quantizers.gguf.utils import dequantize_functions
from gguf import quants

from gesso_gguf.blocks import DECODERS
from gesso_gguf.header import FORMATS, TYPES, UNREAD
from gesso_gguf.layers import LINEAR_KERNELS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "features" / "gguf.md"
BEGIN, END = "<!-- made by tools/gguf_table.py -->\n", "<!-- end -->\n"
K = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
LEGACY = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
FORGE = ("F32", "F16", "BF16", *LEGACY, *K)
COMFY = ("F32", "F16", "BF16", *LEGACY, *K, "IQ4_NL", "IQ4_XS")
"""ComfyUI-GGUF decodes others by way of numpy, on the CPU."""


def table() -> str:
    """The table as Markdown."""
    reference = {"F32", "F16", *(kind.name for kind in quants._type_traits)}
    diffusers = {"F32", "F16", *(kind.name for kind in dequantize_functions)}
    lines = [
        "| type | bits a weight | gesso | gguf-py | diffusers | ComfyUI-GGUF | Forge |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, values, size in TYPES.values():
        if name in UNREAD and name not in reference:
            continue
        plain = values == 1
        ours = "plain" if plain else "yes" if name in DECODERS and name in FORMATS else "no"
        ours += ", own CPU kernel" if name in LINEAR_KERNELS else ""
        others = ["yes" if name in known else "plain" if plain and known is not FORGE else "no"
                  for known in (reference, diffusers, COMFY, FORGE)]  # fmt: skip
        if name not in COMFY and not plain and name in reference:
            others[2] = "by numpy"
        lines.append(f"| {name} | {size * 8 / values:g} | {ours} | {' | '.join(others)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page with the table as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


def main() -> int:
    wanted = page()
    if "--check" in sys.argv:
        stale = PAGE.read_text(encoding="utf-8") != wanted
        print(f"{PAGE.name} is {'stale: run python tools/gguf_table.py' if stale else 'up to date'}")
        return int(stale)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
