"""The golden files of the protocol: SPEC §16."""

import dataclasses
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from nowrong_client.codec import Malformed, Reader, varint
from nowrong_client.envelope import Decoder, Raw, TooLarge, decode_datagram, encode, encode_datagram
from nowrong_client.frames import FRAMES, Frame, Lane

VECTORS = Path(__file__).parents[3] / "protocol" / "vectors"


def vectors(*files: str) -> list[Any]:
    """The objects of some files, named for pytest."""
    rows = [row for file in files for row in json.loads((VECTORS / f"{file}.json").read_text())]
    assert rows
    return [pytest.param(row, id=row["name"]) for row in rows]


def plain(value: Any) -> Any:
    """A frame as the vectors write it in JSON."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, UUID):
        return str(value)
    return list(map(plain, value)) if isinstance(value, tuple | bytes) else value


@pytest.mark.parametrize("row", vectors("connect", "queue", "chat", "history", "signal"))
def test_a_frame_is_read_and_written_again(row: dict[str, Any]) -> None:
    body = bytes.fromhex(row["hex"])
    frame = Raw(row["kind"], body).decode()
    assert frame is not None
    assert type(frame).__name__ == row["frame"]
    assert plain(frame) == row["json"]
    assert frame.codec.write(frame).hex() == row["hex"]
    assert encode(frame).hex() == row["envelope_hex"]


def test_every_frame_has_vectors() -> None:
    seen = {
        param.values[0]["kind"]
        for param in vectors("connect", "queue", "chat", "history", "signal")
    }
    assert seen == set(FRAMES)


@pytest.mark.parametrize("row", vectors("decode_errors"))
def test_a_bad_body_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        Raw(row["kind"], bytes.fromhex(row["hex"])).decode()


@pytest.mark.parametrize("row", vectors("varint"))
def test_a_varint_is_read_and_written_in_its_shortest_form(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    reader = Reader(data)
    assert reader.varint(64) == row["value"]
    assert reader.left == 0
    assert (varint(row["value"]) == data) == row["is_shortest"]


@pytest.mark.parametrize("in_pieces", [False, True], ids=["whole", "byte_by_byte"])
@pytest.mark.parametrize("row", vectors("envelope"))
def test_a_stream_is_cut_into_frames(row: dict[str, Any], in_pieces: bool) -> None:
    stream = bytes.fromhex(row["stream_hex"])
    decoder, frames, error = Decoder(), [], None
    try:
        for piece in [bytes((byte,)) for byte in stream] if in_pieces else [stream]:
            decoder.feed(piece)
            while (raw := decoder.next()) is not None:
                frames.append({"kind": raw.number, "hex": raw.body.hex()})
    except (Malformed, TooLarge) as raised:
        error = type(raised).__name__
    assert frames == row["frames"]
    assert error == row["error"]
    if error is None:
        assert decoder.is_partial == row["is_partial"]


@pytest.mark.parametrize("row", vectors("conversation"))
def test_the_conversation_of_the_specification(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    frame = read_one(data, Lane(row["lane"]))
    assert frame is not None
    assert (type(frame).__name__, frame.number) == (row["frame"], row["kind"])
    assert frame.sender in (row["from"], "both")
    written = encode_datagram(frame) if row["lane"] == Lane.DATAGRAM else encode(frame)
    assert written == data


def read_one(data: bytes, lane: Lane) -> Frame | None:
    """The only frame of these bytes."""
    if lane == Lane.DATAGRAM:
        return decode_datagram(data)
    decoder = Decoder()
    decoder.feed(data)
    raw = decoder.next()
    assert raw is not None
    assert not decoder.is_partial
    return raw.decode()
