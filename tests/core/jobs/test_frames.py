"""Frames: whole or an error, never something else."""

from __future__ import annotations

import io
import json
import os
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso.jobs.frames import HEADER, MAGIC, MAX_JSON, MAX_RAW, Channel, Frame, FrameError, pack, read

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.dictionaries(st.text().filter(lambda name: name != "frame"), PLAIN, max_size=4)


def frame(data: object, raw: bytes = b"") -> bytes:
    text = json.dumps(data).encode()
    return HEADER.pack(MAGIC, len(text), len(raw)) + text + raw


@given(st.lists(st.tuples(st.text(), FIELDS, st.binary(max_size=100))))
def test_what_is_sent_arrives(frames):
    stream = io.BytesIO(b"".join(pack(kind, data, len(raw)) + raw for kind, data, raw in frames))
    assert [read(stream) for _ in frames] == [Frame(kind, data, raw) for kind, data, raw in frames]
    assert read(stream) is None


@given(st.binary(min_size=1, max_size=100))
def test_bytes_that_are_no_frame_are_refused(data):
    if data.startswith(MAGIC):
        data = b"x" + data
    with pytest.raises(FrameError):
        read(io.BytesIO(data))


@given(st.data())
def test_a_frame_that_is_cut_off_is_refused(data):
    whole = frame({"frame": "event", "text": "é"}, b"raw")
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(FrameError, match="ends"):
        read(io.BytesIO(whole[:cut]))


@pytest.mark.parametrize(("json_length", "raw_length"), [(MAX_JSON + 1, 0), (2, MAX_RAW + 1), (2**32 - 1, 2**64 - 1)])
def test_lengths_have_limits(json_length, raw_length):
    """A stray header is refused before anything is allocated."""
    with pytest.raises(FrameError, match="more than is allowed"):
        read(io.BytesIO(struct.pack(">4sIQ", MAGIC, json_length, raw_length) + b"{}"))


def test_too_much_is_not_sent_either():
    with pytest.raises(FrameError, match="too large"):
        pack("event", {"text": "x" * MAX_JSON})
    with pytest.raises(FrameError, match="too large"):
        pack("blob", {}, MAX_RAW + 1)


@pytest.mark.parametrize("data", [[], "text", 1, None, {}, {"frame": 1}, {"frame": None}])
def test_the_json_must_be_an_object_that_names_its_kind(data):
    with pytest.raises(FrameError):
        read(io.BytesIO(frame(data)))


def test_json_without_end_is_refused():
    text = b"[" * 1_000_000
    with pytest.raises(FrameError, match="RecursionError"):
        read(io.BytesIO(HEADER.pack(MAGIC, len(text), 0) + text))


def test_a_field_cannot_pose_as_another_kind():
    assert read(io.BytesIO(pack("event", {"frame": "close"}))) == Frame("event", {})


def test_values_json_does_not_know_go_as_text(tmp_path):
    assert read(io.BytesIO(pack("event", {"path": tmp_path}))) == Frame("event", {"path": str(tmp_path)})


def test_threads_that_send_at_once_do_not_mix_their_frames():
    """Through a real pipe, which takes less than one of these frames at a time."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as incoming, os.fdopen(writing, "wb") as outgoing:
        sender, receiver = Channel(io.BytesIO(), outgoing), Channel(incoming, io.BytesIO())

        def send(number: int) -> None:
            for _ in range(20):
                sender.send("event", {"number": number}, bytes([number]) * 100_000)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(80):
            kind, data, raw = receiver.receive()
            assert kind == "event"
            assert raw == bytes([data["number"]]) * 100_000
        for thread in threads:
            thread.join()
