"""Token ids of the world's words, as CLIP's byte-pair vocabulary has them, and the small vocabulary training uses.

CLIP knows 49,408 tokens and the captions use about thirty, so training keeps an embedding of only those; the export
spreads it over the full table and leaves every other token at zero, where an unknown word does little.
"""

from functools import cache

import torch
from torch import Tensor

from tools.shapes.layouts import BOS, CONTEXT, EOS

# CLIP ids by word. "cyan" is the one word of two tokens.
WORDS: dict[str, tuple[int, ...]] = {
    "a": (320,), "on": (525,), "of": (539,), "left": (1823,), "above": (4348,), "background": (5994,),
    "small": (2442,), "large": (3638,), "red": (736,), "green": (1901,), "blue": (1746,), "yellow": (4481,),
    "purple": (5496,), "orange": (4287,), "white": (1579,), "black": (1449,), "pink": (3360,), "cyan": (1470, 550),
    "circle": (7117,), "square": (3999,), "triangle": (14615,), "star": (1565,), "ring": (2540,), "heart": (1936,),
}  # fmt: skip
# Small ids: begin, end (also the padding), any unknown token, then the known ones.
UNKNOWN = 2
KNOWN_IDS = (BOS, EOS, -1, *sorted({i for ids in WORDS.values() for i in ids}))
SMALL = len(KNOWN_IDS)
_SMALL_ID = {clip: small for small, clip in enumerate(KNOWN_IDS)}


@cache
def encode(caption: str, small: bool) -> Tensor:
    """int64[77]: begin, the caption's tokens, end, and padding with the end token as SD 1.x does.

    A word outside `WORDS` becomes UNKNOWN in the small vocabulary; the full one has no id for it here (ValueError).
    """
    ids: list[int] = []
    for word in caption.split():
        known = WORDS.get(word, (-1,))
        if not small and known == (-1,):
            raise ValueError(f"{word!r} is not a word of the Shapes world; use CLIP's own tokenizer")
        ids += [_SMALL_ID[i] for i in known] if small else known
    begin, end = (0, 1) if small else (BOS, EOS)
    ids = [begin, *ids[: CONTEXT - 2]]
    return torch.tensor(ids + [end] * (CONTEXT - len(ids)))
