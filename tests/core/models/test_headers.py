"""Reading the table of contents of weight files nobody vouches for."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gesso.errors import BadFileError
from gesso.models.headers import read_header
from gesso.models.readers import SafetensorsReader

SHAPES = {"a.weight": (4, 3), "a.bias": (4,), "b": (), "c": (2, 0), "d": (7,)}


def good() -> tuple[dict[str, Any], bytes]:
    """(header, data) of a valid file."""
    header: dict[str, Any] = {"__metadata__": {"modelspec.title": "x"}}
    end = 0
    for name, shape in SHAPES.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    return header, bytes(range(end))


BIG = [2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**4000]
BAD_NUMBERS: list[Any] = [-1, -(2**63), 1.0, 0.5, float("nan"), float("inf"), True, None, "3", [1], {}, *BIG]


def _tensor(header: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return header[rng.choice([n for n in SHAPES if n != "c"])]


def wrong_shape(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    wrong = [rng.choice(BAD_NUMBERS), [rng.choice(BAD_NUMBERS)], [1] * 400, [2, rng.choice(BIG)], "x", {"a": 1}]
    _tensor(h, rng)["shape"] = rng.choice(wrong)
    return h


def wrong_offsets(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    bad = rng.choice(BAD_NUMBERS)
    wrong = [bad, [bad, 4], [0, bad], [4, 0], [0, len(d) + 2], [0, 1, 2], [], [len(d) + 1, len(d) + 9], "0-4"]
    _tensor(h, rng)["data_offsets"] = rng.choice(wrong)
    return h


def wrong_type(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    _tensor(h, rng)["dtype"] = rng.choice(["F17", "", "f16", "F16 ", "F64", 16, None, ["F16"], {"x": []}, "A" * 9999])
    return h


def missing_entry(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    del _tensor(h, rng)[rng.choice(["dtype", "shape", "data_offsets"])]
    return h


def no_object(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    h[rng.choice([*SHAPES, "new"])] = rng.choice([None, 1, "x", [], [{}], True, {}, 1e300])
    return h


def overlapping(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    name = rng.choice(["a.weight", "d"])
    h["again"] = copy.deepcopy(h[name])
    return h


def bad_metadata(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    h["__metadata__"] = rng.choice([[], "x", 1, {"a": 1}, {"a": {"b": "c"}}, {"a": None}, [["a", "b"]]])
    return h


def no_header(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    return rng.choice([[], [h], "x", 1, None, True, 1.5])


def twice(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    name = rng.choice([*SHAPES, "__metadata__"])
    return json.dumps(h)[:-1].encode() + b"," + json.dumps({name: h[name]})[1:].encode()


def deep(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    depth, (left, right) = rng.choice([500, 5_000, 60_000]), rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return b'{"a":' + left * depth + b"1" + right * depth + b"}"


def deep_inside(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    """Nested so that parsing may succeed and printing fail."""
    field = rng.choice([b"dtype", b"shape", b"data_offsets"])
    depth = rng.randrange(100, 990)
    return b'{"a":{"' + field + b'":' + b"[" * depth + b"]" * depth + b"}}"


def no_utf8(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    text = json.dumps(h)
    encoding = rng.choice(["utf-16", "utf-32", "utf-16-le", "utf-8-sig", "junk", "surrogate"])
    if encoding == "junk":
        return text.encode().replace(b"a.bias", b"a\xff\xfe\xc0s")
    if encoding == "surrogate":
        return text.replace("a.bias", "\\ud800").encode()
    return text.encode(encoding)


def broken_json(h: dict[str, Any], d: bytes, rng: random.Random) -> Any:
    text = bytearray(json.dumps(h).encode())
    kind = rng.randrange(3)
    if kind == 0:
        return bytes(text[: rng.randrange(len(text) - 1)])
    if kind == 1:
        return bytes(text) + rng.choice([b"}", b"x", b"\0", b"{}"])
    text[rng.randrange(1, 30)] = rng.choice(b"\x00\x01\x07\x1f")
    return bytes(text)


MUTATIONS = [
    wrong_shape, wrong_offsets, wrong_type, missing_entry, no_object, overlapping, bad_metadata, no_header, twice, deep,
    deep_inside, no_utf8, broken_json,
]  # fmt: skip


def mutants() -> list[tuple[str, bytes]]:
    """500 files: 420 with a damaged header, 80 with a wrong length or cut short."""
    made = []
    for seed in range(420):
        rng = random.Random(seed)
        change = MUTATIONS[seed % len(MUTATIONS)]
        header, data = good()
        changed = change(header, data, rng)
        with_big_integers = changed if isinstance(changed, bytes) else _dumps(changed)
        made.append((f"{change.__name__}-{seed}", struct.pack("<Q", len(with_big_integers)) + with_big_integers + data))
    header, data = good()
    text = json.dumps(header).encode()
    for seed in range(80):
        rng = random.Random(1000 + seed)
        if seed % 2:
            whole = struct.pack("<Q", len(text)) + text + data
            made.append((f"cut-{seed}", whole[: rng.randrange(len(whole))]))
        else:
            wrong = rng.choice(
                [0, 1, len(text) + len(data) + 1, 2**31, 10**8 + 1, 2**40, 2**63, 2**64 - 1, len(text) - 1]
            )
            made.append((f"length-{seed}", struct.pack("<Q", wrong) + text + data))
    return made


def _dumps(value: Any) -> bytes:
    """JSON with integers of any length, which `json` itself refuses to write."""
    import sys

    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value).encode()
    finally:
        sys.set_int_max_str_digits(before)


def test_the_good_file_is_good(write: Any) -> None:
    header, data = good()
    path = write(header, data)
    read = read_header(path)
    assert {name: info.shape for name, info in read.tensors.items()} == SHAPES
    assert read.metadata == {"modelspec.title": "x"}
    with safe_open(path, "pt") as reference:
        for name in SHAPES:
            assert torch.equal(SafetensorsReader(path).read(name).data, reference.get_tensor(name))


def test_500_mutants(tmp_path: Path) -> None:
    """Each is one readable error that names the file; none takes memory beyond its own size, or long."""
    files = mutants()
    assert len(files) == 500
    path = tmp_path / "mutant.safetensors"
    accepted, big, slow = [], [], []
    for label, content in files:
        path.write_bytes(content)
        tracemalloc.start()
        started = time.perf_counter()
        try:
            read_header(path)
            accepted.append(label)
        except BadFileError as error:
            text = str(error)
            assert text.startswith(str(path)), label
            assert text.isprintable(), label
            assert len(text) < len(str(path)) + 400, label
            text.encode()
        if time.perf_counter() - started > 2:  # tracemalloc makes it some ten times slower; a hang is what is meant
            slow.append(label)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if peak > 200_000 + 40 * len(content):
            big.append((label, peak))
    assert not accepted
    assert not big
    assert not slow


def test_no_stricter_library_accepts_them(tmp_path: Path) -> None:
    """The mutants are really bad: the format's own library refuses them too."""
    path = tmp_path / "mutant.safetensors"
    accepted = []
    for label, content in mutants():
        path.write_bytes(content)
        try:
            with safe_open(path, "pt"):
                accepted.append(label.partition("-")[0])
        except (SafetensorError, OSError, ValueError):
            pass
    # What gesso refuses beyond it: more than 16 axes, and a name that stands twice.
    assert set(accepted) <= {"wrong_shape", "twice"}


@pytest.mark.parametrize("seed", range(300))
def test_flipped_bytes_are_refused_or_make_sense(seed: int, write: Any) -> None:
    """Any change of the header's bytes gives an error, or a header whose tensors all lie in the file."""
    rng = random.Random(seed)
    header, data = good()
    content = bytearray(write(header, data).read_bytes())
    for _ in range(rng.randint(1, 4)):
        content[rng.randrange(len(content) - len(data))] = rng.randrange(256)
    path = write(b"")
    path.write_bytes(content)
    try:
        read = read_header(path)
    except BadFileError:
        return
    reader = SafetensorsReader(path, read)
    for name, info in read.tensors.items():
        assert 8 <= info.start <= info.end <= len(content)
        if info.format == "F16":
            assert reader.read(name).data.shape == info.shape


def test_a_header_that_begins_like_a_pickle(write: Any) -> None:
    """1,152 bytes of header are the bytes 80 04 in front, as of a pickle."""
    for length in (0x280, 0x480, 0x580):
        header, data = good()
        text = json.dumps(header).encode().ljust(length)
        assert read_header(write(text, data)).tensors


@pytest.mark.parametrize("name", ["m.ckpt", "m.pt", "m.safetensors"])
def test_pickles_are_refused_unread(name: str, tmp_path: Path) -> None:
    """Torch's zip, a bare pickle, one of protocol 0: the file is named and the way out, and no code is run."""
    path, trace = tmp_path / name, tmp_path / "ran"
    bomb = f"cos\nsystem\n(S'touch {trace}'\ntR.".encode()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    saved = io.BytesIO()
    torch.save({"state_dict": {"x": torch.ones(2)}}, saved)
    contents = [zipped.getvalue(), saved.getvalue(), b"\x80\x02" + bomb, b"\x80\x04\x95" + bomb]
    if name != "m.safetensors":
        contents.append(bomb)  # Protocol 0 has no mark; the suffix tells.
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(BadFileError, match="pickle") as caught:
            read_header(path)
        assert str(path) in str(caught.value)
        assert "weights_only=True" in str(caught.value)
    assert not trace.exists()


def test_the_way_to_convert_works(tmp_path: Path) -> None:
    """The command in the refusal makes a file that opens."""
    import shlex
    import subprocess
    import sys

    path = tmp_path / "old model.ckpt"
    torch.save({"state_dict": {"x": torch.ones(2), "y": torch.zeros(1)}, "step": 7}, path)
    with pytest.raises(BadFileError) as caught:
        read_header(path)
    command = str(caught.value).partition("throw away: ")[2]
    words = shlex.split(command)
    assert words[0] == "python"
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, check=True, timeout=120)
    assert set(read_header(tmp_path / "old model.safetensors").tensors) == {"x", "y"}


def test_empty_folder_absent(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(BadFileError, match="No such file"):
        read_header(path)
    path.touch()
    with pytest.raises(BadFileError, match="is empty"):
        read_header(path)
    with pytest.raises(BadFileError, match="is a folder"):
        read_header(tmp_path)
    with pytest.raises(BadFileError, match="gesso-gguf"):
        (tmp_path / "g.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
        read_header(tmp_path / "g.gguf")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_missing_permission(names: Any, as_nobody: Callable[[], Any]) -> None:
    path = names("a")
    path.chmod(0)
    with as_nobody(), pytest.raises(BadFileError, match="Permission denied"):
        read_header(path)


def test_cut_after_the_header(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.ones(1000), "b": torch.ones(1000)}, path)
    whole = path.read_bytes()
    for keep in (len(whole) - 1, len(whole) - 4000, len(whole) - 8000):
        path.write_bytes(whole[:keep])
        with pytest.raises(BadFileError, match="truncated"):
            read_header(path)


def test_every_format_name(write: Any) -> None:
    """What the library writes is read; sizes of formats below a byte are counted in bits."""
    for kind, shape, size in (
        ("F4", [3], 2),
        ("F6_E2M3", [4], 3),
        ("F8_E4M3", [3], 3),
        ("BOOL", [2], 2),
        ("C64", [1], 8),
    ):
        header = {"a": {"dtype": kind, "shape": shape, "data_offsets": [0, size]}}
        assert read_header(write(header, bytes(size))).tensors["a"].format == kind
