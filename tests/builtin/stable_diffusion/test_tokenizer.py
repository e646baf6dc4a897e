"""CLIP's tokens against transformers' tokenizer, published ids and A1111's chunk rules."""

from __future__ import annotations

import random
import unicodedata

import pytest
from transformers import CLIPTokenizer

from gesso import Segment
from gesso_builtin.stable_diffusion.tokenizer import CHUNK, END, START, chunks, count_tokens, tokenizer, vocabulary

_TEXT = (
    "a photo of an astronaut riding a horse on mars, 8k, trending on artstation; masterpiece best quality (oil) [ink] "
    "don't we'll they've I'm it's you're he'd 1girl 35mm f/1.8 #tag @name under_score hyphen-ated CamelCase UPPER "
    "naïve café über façade Ångström ﬁne ½ ² № привет мир 日本語 の テスト 中文 字符 한국어 العربية עברית हिन्दी ไทย "
    "🙂 👩‍👩‍👧‍👦 🇩🇪 ❤️ ✨ … — “quotes” ‘single’ «guillemets» ¿qué? naïve €100 ±5° µm ∑ → ☃ \u200b \u00a0 \u3000 "
    "&amp; &lt;b&gt; <lora:x:1> http://a.b/c?d=e e\u0301 A\u030a \t \r\n \x00 \x7f \ufffd \U0001f9d1\u200d\U0001f3a8"
)
WORDS = _TEXT.split(" ")


@pytest.fixture(scope="module")
def reference() -> CLIPTokenizer:
    tokens, merges = vocabulary()
    return CLIPTokenizer(vocab=tokens, merges=merges, model_max_length=10**9)


def texts() -> list[str]:
    rng = random.Random(5)
    made = [" ".join(rng.choices(WORDS, k=rng.randint(1, 30))) for _ in range(300)]
    made += ["".join(rng.choices(WORDS, k=5)) for _ in range(50)]
    made += ["".join(chr(rng.randrange(1, 0xD800)) for _ in range(20)) for _ in range(100)]
    made += [
        "",
        " ",
        "\n\n",
        "a" * 2000,
        "word " * 3000,
        "🙂" * 300,
        "\u0301" * 50,
        unicodedata.normalize("NFD", "é" * 40),
    ]
    return made


def test_as_transformers(reference: CLIPTokenizer) -> None:
    wrong = [
        text
        for text in texts()
        if tokenizer().encode(text, add_special_tokens=False).ids != reference(text, add_special_tokens=False).input_ids
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("A  Photo\nof a CAT", [320, 1125, 539, 320, 2368]),
        ("a red circle on a blue background", [320, 736, 7117, 525, 320, 1746, 5994]),
        ("!", [256]),
        (",", [267]),
    ],
)
def test_published_ids(text: str, ids: list[int]) -> None:
    assert tokenizer().encode(text, add_special_tokens=False).ids == ids


def test_html_and_broken_unicode_stay_as_typed() -> None:
    """OpenAI's program mends both with ftfy and html.unescape; transformers without ftfy, A1111 and gesso do not."""
    assert count_tokens("&amp;") == count_tokens("& amp ;") > count_tokens("&")


def test_special_tokens_cannot_be_typed() -> None:
    ids = tokenizer().encode("<|endoftext|>", add_special_tokens=False).ids
    assert END not in ids
    assert START not in ids


def test_long_text_makes_chunks() -> None:
    made = chunks([Segment("word " * 200)])
    assert len(made) == 3
    assert all(len(chunk.ids) == len(chunk.weights) == CHUNK + 2 for chunk in made)
    assert [chunk.ids[0] for chunk in made] == [START] * 3


def test_padding() -> None:
    (left,), (right,) = chunks([Segment("a")]), chunks([Segment("a")], pad=0)
    assert left.ids == (START, 320, END, *[END] * 74)
    assert right.ids == (START, 320, END, *[0] * 74)


def test_comma_moves_the_last_words_on() -> None:
    """A full chunk ends at a comma that is at most 20 tokens back; the words behind it begin the next one."""
    text = "word " * 70 + ", " + "tail " * 10
    first, second = chunks([Segment(text)])
    assert first.ids[71] == 267
    assert first.ids[72] == END
    assert second.ids[1:11] == tuple(tokenizer().encode("tail " * 10, add_special_tokens=False).ids)
