"""Copies of the live lane: SPEC §3, without IO."""

from __future__ import annotations

from . import frames as f


class CopyReader:
    """How far a lane was received, by stream and by copies."""

    def __init__(self) -> None:
        self._streamed = 0
        self._taken = 0

    def stream(self, data: bytes) -> bytes:
        """What is new of the next bytes of the stream."""
        fresh = data[self._taken - self._streamed :]
        self._streamed += len(data)
        self._taken = max(self._taken, self._streamed)
        return fresh

    def copy(self, copy: f.LaneCopy) -> bytes:
        """What is new of a copy; nothing while it begins behind a gap."""
        if copy.offset > self._taken:
            return b""
        fresh = copy.bytes[self._taken - copy.offset :]
        self._taken += len(fresh)
        return fresh
