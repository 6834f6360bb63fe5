"""Frames on lanes: SPEC §4, without IO."""

from __future__ import annotations

from dataclasses import dataclass

from .codec import Cut, Malformed, Number, Reader, varint
from .frames import FRAMES, Frame

FRAME_BYTES_MAX = 65_536
"""Longest body."""

DATAGRAM_BYTES_MAX = 1_000
"""Longest datagram, its type included."""


class TooLarge(ValueError):
    """A frame is longer than allowed; costs its sender `FRAME_TOO_LARGE`."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A frame whose body is not decoded."""

    number: int
    body: bytes

    def decode(self) -> Frame | None:
        """The decoded frame; `None` when its type is unknown and it has to be skipped."""
        kind = FRAMES.get(self.number)
        if kind is None:
            return None
        decoded = kind.codec.read(Reader(self.body))
        assert isinstance(decoded, Frame)
        return decoded


def encode(frame: Frame) -> bytes:
    """A frame in its stream envelope."""
    return envelope(frame.number, frame.codec.write(frame))


def envelope(number: int, body: bytes) -> bytes:
    """A body in its stream envelope."""
    return Number(32).write(number) + varint(len(body)) + body


def encode_datagram(frame: Frame) -> bytes:
    """A frame as a datagram."""
    datagram = Number(32).write(frame.number) + frame.codec.write(frame)
    if len(datagram) > DATAGRAM_BYTES_MAX:
        raise TooLarge(f"a datagram of {len(datagram)} bytes")
    return datagram


def decode_datagram(datagram: bytes) -> Frame | None:
    """The frame of a datagram; `None` for one that has to be dropped, which is never an error."""
    if len(datagram) > DATAGRAM_BYTES_MAX:
        return None
    try:
        reader = Reader(datagram)
        number = reader.varint(64)
        return Raw(number, reader.take(reader.left)).decode()
    except Malformed:
        return None


class Decoder:
    """Cuts the bytes of one stream into frames. Holds at most one frame and one read."""

    def __init__(self, body_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._body_bytes_max = body_bytes_max
        self._held = b""

    @property
    def is_partial(self) -> bool:
        """Whether the stream is in the middle of a frame."""
        return bool(self._held)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the stream."""
        self._held += data

    def next(self) -> Raw | None:
        """The next whole frame; `None` when more bytes are needed.

        Raises `Malformed` or `TooLarge`; after that the stream is unusable.
        """
        reader = Reader(self._held)
        try:
            number = reader.varint(64)
            if number >= 1 << 32:
                raise Malformed(f"type {number}")
            length = reader.varint(64)
        except Cut:
            return None
        if length > self._body_bytes_max:
            raise TooLarge(f"a frame of {length} bytes")
        if length > reader.left:
            return None
        body = reader.take(length)
        self._held = self._held[reader.at :]
        return Raw(number, body)
