"""A1111's file-name tokens, each with what it stands for; names that every file system takes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gesso import Artifact, FileRef, Job, ModelRef, NamedOutput, OutputSettings, Request, safe_part
from gesso.outputs.naming import Tokens, expand, folder_and_name, tokens_of
from gesso.outputs.safe import MAX_NAME, safe_name
from gesso.testing import load_host

INFOTEXT = (
    "a fox\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 8, Size: 64x96, Model: v1-5, "
    "Denoising strength: 0.4, Clip skip: 2, Version: gesso"
)
CREATED = datetime(2026, 1, 31, 12, 30, 5).astimezone().timestamp()


@pytest.fixture(scope="module")
def tokens() -> Iterator[Tokens]:
    with load_host(["builtin"]) as host:
        yield tokens_of(host)


def output(prompt: str = "a Fox, in (snow:1.2)!", kind: Any = "image", infotext: str = INFOTEXT, **fields: Any) -> Any:
    request = Request.parse(
        {"prompt": prompt, "negative_prompt": "blur", "steps": 20, "cfg_scale": 7.5, "seed": 5, "width": 64,
         "height": 96, "batch_size": 2, "count": 3, "sampler": "dpmpp_2m", "owner": "anna", **fields}
    )  # fmt: skip
    model = ModelRef(role="checkpoint", name="sub/v1-5", hash="abcdef012345" + "0" * 52)
    job = Job(request=request, model=model, created=CREATED - 60)
    meta = {"seed": 8, "width": 64, "height": 96, "infotext": infotext}
    artifact = Artifact(kind=kind, file=FileRef(sha256="0" * 64, type="image/png"), meta=meta)
    buffer = io.BytesIO()
    Image.new("RGB", (2, 1), "red").save(buffer, "PNG")
    return NamedOutput(job, artifact, index=3, created=CREATED, settings=OutputSettings(), read=buffer.getvalue)


def sha(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


EXPECTED = {
    "[seed]": "8", "[SEED]": "8", "[seed_first]": "5", "[seed_last]": "10", "[steps]": "20", "[cfg]": "7.5",
    "[width]x[height]": "64x96", "[sampler]": "DPM++ 2M", "[scheduler]": "Karras",
    "[sampler_scheduler]": "DPM++ 2M Karras", "[model_name]": "v1-5", "[model_hash]": "abcdef0123",
    "[vae_filename]": "NoneType", "[clip_skip]": "2", "[denoising]": "0.4", "[date]": "2026-01-31",
    "[datetime]": "20260131123005", "[datetime<%H.%M>]": "12.30", "[job_timestamp]": "20260131122905",
    "[prompt]": "a_Fox,_in_(snow_1.2)!", "[prompt_spaces]": "a Fox, in (snow_1.2)!",
    "[prompt_words]": "a Fox in snow 1 2", "[prompt_hash]": sha("a Fox, in (snow:1.2)!")[:8],
    "[prompt_hash<12>]": sha("a Fox, in (snow:1.2)!")[:12], "[negative_prompt_hash]": sha("blur")[:8],
    "[full_prompt_hash]": sha("a Fox, in (snow:1.2)! blur")[:8],
    "[hasprompt<fox><dog>]": "fox", "[hasprompt<cat|no cat><dog|x>]": "no catx", "[batch_number]": "2",
    "[batch_size]": "2", "[generation_number]": "4", "[image_hash]": sha(b"\xff\0\0" * 2),
    "[image_hash<6>]": sha(b"\xff\0\0" * 2)[:6], "[user]": "anna", "[none]": "", "[styles]": "None",
    "[info<CFG scale>]": "7.5",
    # what stays as it is written
    "[unknown]": "[unknown]", "[hasprompt]": "[hasprompt]", "[prompt_hash<x>]": "[prompt_hash<x>]", "a]b[c": "a]b[c",
    "[]": "[]", "[[seed]]": "[8]", "": "", "plain": "plain",
    # tokens that have nothing to say take the text in front of them along
    "x-[info<Hires upscale>]-[seed]": "-8",
}  # fmt: skip


@pytest.mark.parametrize(("pattern", "name"), EXPECTED.items())
def test_tokens(tokens: Tokens, pattern: str, name: str) -> None:
    assert expand(pattern, output(), tokens) == name


def test_styles_and_the_prompt_as_it_was_typed(tokens: Tokens) -> None:
    named = output(prompt="a fox, painted in oil")
    asked = {"prompt": "a fox", "params": {"styles": {"names": ["oil", "light/dark"]}}}
    styled = replace(named, job=named.job.model_copy(update={"asked": asked}))
    pattern = "[prompt_spaces]-[prompt_no_styles]-[styles]"
    assert expand(pattern, styled, tokens) == "a fox, painted in oil-a fox-oil, light_dark"
    assert expand(pattern, named, tokens) == "a fox, painted in oil-a fox, painted in oil-None"


def test_time_zones(tokens: Tokens) -> None:
    moment = datetime.fromtimestamp(CREATED).astimezone()
    assert expand("[datetime<%z><Asia/Tokyo>]", output(), tokens) == "+0900"
    for zone in ("Nowhere/At All", "../../etc/passwd", "Europe"):
        assert expand(f"[datetime<%H%z><{zone}>]", output(), tokens) == moment.strftime("%H%z")


def test_a_single_picture_has_no_numbers_and_a_grid_none_either(tokens: Tokens) -> None:
    pattern = "[seed]-[batch_number]-[generation_number]-[seed_last]-[denoising]"
    single = output(batch_size=1, count=1, infotext="a fox\nSteps: 1, Seed: 8, Size: 64x96")
    assert expand(pattern, single, tokens) == "8"
    assert expand("[seed]-[batch_number]-[generation_number]", output(kind="grid"), tokens) == "8"
    assert folder_and_name(output(kind="grid"), tokens)[1] == "grid-8"


def test_a_token_that_fails_costs_no_picture(tokens: Tokens) -> None:
    def bad(output: NamedOutput, arguments: tuple[str, ...]) -> str:
        raise RuntimeError("of all things")

    assert expand("a-[bad]-[seed]", output(), {**tokens, "bad": bad}) == "a-[bad]-8"


def patterns(folder: str, name: str, prompt: str, tokens: Tokens) -> tuple[tuple[str, ...], str]:
    named = output(prompt=prompt)
    chosen = OutputSettings(folder=folder, name=name)
    return folder_and_name(NamedOutput(named.job, named.artifact, settings=chosen, created=CREATED), tokens)


@pytest.mark.parametrize(
    ("folder", "name", "made"),
    [
        ("[date]/[prompt_spaces]", "[seed]", ("2026-01-31/.._.._etc_passwd", "8")),
        ("../../[seed]", "../x", ("8", "x")),
        ("/etc//cron.d/./..", "a/b/[seed]", ("etc/cron.d/a/b", "8")),
        ("C:\\Windows\\[seed]", "NUL", ("C_/Windows/8", "_NUL")),
        ("aux.txt/com1 .x/con", "lpt¹", ("_aux.txt/_com1 .x/_con", "_lpt¹")),
        ("", "", ("", "")),
        ("...", ". .", ("", "")),
        ("~", "$HOME", ("~", "$HOME")),
    ],
)
def test_nothing_leads_out_of_the_folder(tokens: Tokens, folder: str, name: str, made: tuple[str, str]) -> None:
    folders, last = patterns(folder, name, "../../etc/passwd", tokens)
    assert ("/".join(folders), last) == made


RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    "conin$",
    "conout$",
    *(f"{p}{n}" for p in ("com", "lpt") for n in "0123456789¹²³"),
}
NASTY = st.text(max_size=300) | st.text('./\\:*?"<>|\0\n\r\t #~ÀÅ\u0301\u202econul1.[]', max_size=80)


@settings(max_examples=400, deadline=None)
@given(NASTY, NASTY, NASTY | st.text("\ud800a.", max_size=5))
def test_any_pattern_and_prompt_make_names_every_system_takes(folder: str, name: str, prompt: str) -> None:
    plain = {"prompt": lambda output, arguments: prompt}
    folders, last = patterns(f"{folder}/[prompt]", f"{name}[prompt]", "", plain)
    for part in (*folders, *([last] if last else [])):
        assert 0 < len(part.encode()) <= 255
        assert len(part.encode("utf-16-le")) // 2 <= 255
        assert not set(part) & set('<>:"/\\|?*#\0\n\r\t\u202e')
        assert part == part.strip(" ").rstrip(".")
        assert part.split(".")[0].strip(" ").lower() not in RESERVED
        assert PurePosixPath(part).name == part


def test_length_is_counted_in_bytes_and_no_letter_is_cut() -> None:
    assert safe_name("é" * 300) == "é" * (min(200, MAX_NAME // 2))
    assert len(safe_name("🦊" * 300).encode()) == MAX_NAME
    assert safe_part("x" * 300) == "x" * 128
    assert safe_part("e\u0301") == "é", "one spelling, whichever the keyboard gave"
