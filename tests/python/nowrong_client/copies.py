"""Copies of the live lane: SPEC §3, without IO."""

from __future__ import annotations

from . import frames as f


class CopyReader:
    """How far a lane has been received, by stream and by copies."""

    def __init__(self) -> None:
        self._streamed = 0
        self._taken = 0

    def stream(self, data: bytes) -> bytes:
        """The part of the stream's next bytes that is new."""
        fresh = data[self._taken - self._streamed :]
        self._streamed += len(data)
        self._taken = max(self._taken, self._streamed)
        return fresh

    def copy(self, copy: f.LaneCopy) -> bytes:
        """The part of a copy that is new; nothing if it begins after a gap."""
        if copy.offset > self._taken:
            return b""
        fresh = copy.bytes[self._taken - copy.offset :]
        self._taken += len(fresh)
        return fresh
