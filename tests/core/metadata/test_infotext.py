"""The infotext reader against A1111's recorded answers, and the writer against the reader for arbitrary input."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesso.metadata import (
    Infotext,
    MetadataError,
    a1111_parameters,
    clean_prompt,
    format_infotext,
    is_legal_key,
    legal_pairs,
    parse_infotext,
    uses_emphasis,
    value_text,
    with_defaults,
)

RECORDED = json.loads((Path(__file__).parent / "data" / "infotexts.json").read_text(encoding="utf-8"))
NO_CLOCK = settings(deadline=None)
DIFFERENCES: dict[str, str] = {}  # text -> why our answer differs on purpose; none does


# --- A1111's own answers ----------------------------------------------------------------------------------------------


def canonical(view):
    """JSON text, so that 0, "0" and False are three things."""
    return json.dumps(view, sort_keys=True, indent=0)


@pytest.mark.parametrize("case", RECORDED["cases"], ids=range(len(RECORDED["cases"])))
def test_equals_what_a1111_reads(case):
    if case["text"] in DIFFERENCES:
        pytest.skip(DIFFERENCES[case["text"]])
    assert canonical(a1111_parameters(case["text"])) == canonical(case["parsed"])


def test_all_recorded_cases_are_there():
    assert len(RECORDED["cases"]) == 61
    assert RECORDED["source"].startswith("AUTOMATIC1111 v1.10.1")


# The pair pattern in one naive expression, quadratic on hostile input, as an independent statement of the rules.
NAIVE_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
LINES = st.text(alphabet=st.sampled_from('ab1 -/:,"\\{}[]\té_.'), max_size=60)


@NO_CLOCK
@given(LINES)
def test_pairs_are_those_of_the_naive_pattern(line):
    line = line.strip()
    expected = NAIVE_PAIR.findall(line)
    found = parse_infotext(line, exact=True).params
    if len(expected) < 3:
        assert found == {}
        return
    assert list(found) == list(dict(expected))
    for key, value in dict(expected).items():
        assert found[key] == value or value[:1] == value[-1:] == '"'


# --- the writer -------------------------------------------------------------------------------------------------------


def test_layout():
    text = format_infotext(
        "a fox,\nwatercolour",
        "blurry",
        {
            "Steps": 20,
            "Sampler": "DPM++ 2M",
            "CFG scale": 7.0,
            "Seed": 1,
            "Size": "512x768",
            "Model": None,
            "VAE": "a:b",
        },
    )
    assert text == (
        "a fox,\nwatercolour\nNegative prompt: blurry\n"
        'Steps: 20, Sampler: DPM++ 2M, CFG scale: 7, Seed: 1, Size: 512x768, VAE: "a:b"'
    )


def test_documented_example_of_a1111_is_reproduced():
    line = (
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, "
        'Model hash: 6ce0161689, Model: v1-5, Lora hashes: "a: 123abc, b: 456def", Version: v1.10.1'
    )
    assert format_infotext("", "", parse_infotext(line).params) == line


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("a, b", '"a, b"'),
        ("a: b", '"a: b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("two\nlines", r'"two\nlines"'),
        (" edge", '" edge"'),
        ("köln, 東京", '"köln, 東京"'),
        (0.5, "0.5"),
        (2.0, "2"),
        (True, "True"),
        ("", ""),
    ],
)
def test_values_are_quoted_when_they_must(value, written):
    text = format_infotext("p", "", {"Steps": 1, "Key": value, "Seed": 2})
    assert text == f"p\nSteps: 1, Key: {written}, Seed: 2"
    assert parse_infotext(text).params["Key"] == value_text(value)


def test_key_equal_to_value_prints_the_key_and_is_read_back():
    text = format_infotext("p", "", {"Steps": 1, "Tiling": "Tiling", "Seed": 2, "CFG scale": 3})
    assert text == "p\nSteps: 1, Tiling, Seed: 2, CFG scale: 3"
    assert parse_infotext(text).params["Tiling"] == "Tiling"
    assert "Tiling" not in a1111_parameters(text)  # A1111 loses it; so do we when asked to read as A1111


def test_fewer_than_three_pairs_are_made_readable_by_repeating_one():
    text = format_infotext("p", "", {"Seed": 5})
    assert text == "p\nSeed: 5, Seed: 5, Seed: 5"
    assert a1111_parameters(text)["Seed"] == "5"


@pytest.mark.parametrize("key", ["X", "", "a.b", "a(b)", "a:b", "a,b", "-ab", "ab ", " ab", "Exact prompt", "a\nb"])
def test_keys_no_reader_finds_are_refused(key):
    assert not is_legal_key(key)
    with pytest.raises(MetadataError, match="cannot be an infotext key"):
        format_infotext("p", "", {key: 1})


def test_keys_of_plugins_that_no_reader_finds_cost_a_warning():
    told = []
    pairs = {"Steps": 20, "x": 1, "a, b": 2, "Exact prompt": "other", 3: 4, "Mine own": None}
    assert legal_pairs(pairs, told.append) == {"Steps": 20, "Mine own": None}
    assert told == ["'x', 'a, b', 'Exact prompt', 3 cannot be an infotext key and is left out of the picture."]
    assert legal_pairs({"Steps": 1}, told.append) == {"Steps": 1}
    assert len(told) == 1


def test_prompt_that_contains_a_negative_line():
    prompt = "a page of text:\nNegative prompt: not really\nSteps: 1, Sampler: x, Seed: 3"
    text = format_infotext(prompt, "blurry", {"Steps": 20, "Sampler": "Euler", "Seed": 1})
    assert parse_infotext(text) == Infotext(prompt, "blurry", {"Steps": "20", "Sampler": "Euler", "Seed": "1"})
    assert a1111_parameters(text)["Steps"] == "20"  # the parameters survive in A1111, too


def test_prompt_that_ends_like_parameters_and_has_none():
    prompt = "a cat\nMood: happy, Light: soft, Time: dusk"
    assert parse_infotext(prompt).params  # nobody could know
    assert parse_infotext(format_infotext(prompt, "", {})) == Infotext(prompt, "", {})


def test_blank_lines_in_front_of_a_negative_prompt_do_not_count():
    assert parse_infotext("p\n\nq\nNegative prompt:\n\nn\n\nm").negative_prompt == "n\n\nm"


def test_ordinary_prompts_carry_no_second_copy():
    text = format_infotext("a cat, (fluffy:1.2)  \n  on a mat: red, blue: big, ok: yes", "bad", {"Steps": 1, "Seed": 2})
    assert "Exact" not in text


ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=80)
TRICKY = st.lists(
    st.sampled_from(
        ["Negative prompt:", "Steps: 1, Sampler: x, Seed: 2", "Exact prompt", "\n", " ", '"', "a: b", "\\", "{}"]
    )
    | ANY_TEXT,
    max_size=6,
).map("".join)
KEYS = st.from_regex(r"\A\w[\w \-/]{0,12}[\w\-/]\Z").filter(is_legal_key)
VALUES = TRICKY | ANY_TEXT | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)


@NO_CLOCK
@given(TRICKY | ANY_TEXT, TRICKY | ANY_TEXT, st.dictionaries(KEYS, VALUES, max_size=6))
def test_whatever_is_written_is_read_back(prompt, negative, pairs):
    """Up to what `clean_prompt` and `value_text` change: whitespace at line ends, NUL, lone surrogates, 7.0 to 7."""
    text = format_infotext(prompt, negative, pairs)
    expected = {key: value_text(value) for key, value in pairs.items() if value is not None}
    assert parse_infotext(text) == Infotext(clean_prompt(prompt), clean_prompt(negative), expected)


@NO_CLOCK
@given(TRICKY, st.dictionaries(KEYS.filter(lambda k: not re.search(r"prompt", k)), TRICKY, min_size=3, max_size=6))
def test_a1111_reads_the_same_parameters(prompt, pairs):
    text = format_infotext(prompt, "", pairs)
    read = parse_infotext(text, exact=True).params
    bare = {key for key, value in pairs.items() if key == value_text(value)}
    for key in set(pairs) - bare:
        assert read[key] == value_text(pairs[key])


@NO_CLOCK
@given(KEYS, KEYS, TRICKY)
def test_one_value_cannot_touch_another(own, other, value):
    if own == other:
        return
    text = format_infotext("p", "n", {other: "kept", "Steps": 3, own: value, "Seed": 4})
    assert parse_infotext(text).params[other] == "kept"


@NO_CLOCK
@given(TRICKY | ANY_TEXT)
def test_reading_never_fails(text):
    parse_infotext(text)
    with_defaults(parse_infotext(text, exact=True))


def test_clean_prompt_is_idempotent_on_odd_input():
    text = " \n a \r\n\r b\ud800\0 \n\n"
    assert clean_prompt(text) == "a\n\nb?"
    assert clean_prompt(clean_prompt(text)) == clean_prompt(text)


# --- the tolerant reader ----------------------------------------------------------------------------------------------

CIVITAI = (
    "a dog\nNegative prompt: bad\nSteps: 25, Sampler: Undefined, CFG scale: 3.5, Seed: 9, Size: 832x1216, "
    'Hashes: {"model": "abc", "lora:x": "def"}, '
    'Civitai resources: [{"type":"checkpoint","modelVersionId":1},{"type":"lora","weight":0.7}], Civitai metadata: {}'
)


def test_unquoted_json_of_civitai_stays_whole():
    params = parse_infotext(CIVITAI).params
    assert json.loads(params["Hashes"]) == {"model": "abc", "lora:x": "def"}
    assert json.loads(params["Civitai resources"])[1]["weight"] == 0.7
    assert list(params)[-3:] == ["Hashes", "Civitai resources", "Civitai metadata"]
    assert "lora" in a1111_parameters(CIVITAI)  # the bogus key A1111's reader makes of it


def test_broken_json_falls_back_to_the_comma():
    params = parse_infotext('x\nSteps: 1, Hashes: {"a": 1, Seed: 2, Size: 1x1').params
    assert params["Seed"] == "2"
    assert params["Hashes"] == '{"a": 1'


@pytest.mark.parametrize(
    "line",
    ["a" * 200_000, "a b" * 100_000, 'aa: "' * 60_000, "aa: [" * 60_000, "(a" * 99_000, "(a" * 99_000 + ")" * 99_000],
)
def test_hostile_lines_are_read_in_linear_time(line):
    """Quadratic readers need minutes for these; nothing is timed, the suite would not end."""
    parse_infotext(line)
    with_defaults(parse_infotext(line, exact=True))


# --- A1111's view -----------------------------------------------------------------------------------------------------


def view(text):
    return a1111_parameters(f"p\n{text}")


@pytest.mark.parametrize(
    ("version", "downcast"),
    [("v1.6.1", True), ("v1.7.0-224-gabc", True), ("v1.7.0-225-gabc", False), ("v1.10.1", False),
     ("gesso 0.1.0", False), ("f2.0.1v1.10.1-previous-665-gabc", False), ("9" * 5000, False)],
)  # fmt: skip
def test_version_decides_back_compatibility(version, downcast):
    assert ("Downcast alphas_cumprod" in view(f"Steps: 1, Seed: 2, Size: 1x1, Version: {version}")) is downcast


def test_old_prompt_editing_and_refiner():
    old = a1111_parameters("[a:b:0.5]\nSteps: 1, Sampler: DDIM, Refiner: r, Version: v1.5.2")
    assert old["Old prompt editing timelines"] is True
    assert old["Pad conds v0"] is True
    assert old["Refiner switch by sampling steps"] is True


def test_hypernet_returns_to_the_prompt():
    assert view("Steps: 1, Hypernet: h, Hypernet strength: 0.5")["Prompt"] == "p<hypernet:h:0.5>"


def test_first_pass_size_of_2022():
    given_size = view("Steps: 1, Size: 1024x512, First pass size: 640x320")
    assert [given_size[k] for k in ("Size-1", "Size-2", "Hires resize-1", "Hires resize-2")] == [640, 320, 1024, 512]
    by_area = view("Steps: 1, Size: 1024x1024, First pass size: 0x0")
    assert [by_area[k] for k in ("Size-1", "Size-2", "Hires resize-1", "Hires resize-2")] == [512, 512, 1024, 1024]


@pytest.mark.parametrize(
    ("prompt", "weighted"),
    [("a (b) c", True), ("[b]", True), ("([b])", False), ("()", False), (r"\(a\)", False), ("(a:1.0)", False),
     ("(a:1.2", True), ("closed)", False), ("[a:b:0.5]", True), ("(a:1.2.3)", True), ("", False)],
)  # fmt: skip
def test_emphasis_is_noticed(prompt, weighted):
    assert uses_emphasis(prompt) is weighted
