"""How the page looks: one table of tokens, from which the style sheet of every theme is made."""

from __future__ import annotations

from .tokens import PAIRS, THEMES, TOKENS, contrast, stylesheet

__all__ = ["PAIRS", "THEMES", "TOKENS", "contrast", "stylesheet"]
