"""WebSocket links: SPEC §3. All lanes travel in binary messages and count as live."""

from __future__ import annotations

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from .codec import Malformed
from .frames import Lane
from .link import LinkClosed

MESSAGE_BYTES_MAX = 1_048_576
"""Longest message of a server."""

OPEN_TIMEOUT = 10.0
"""Seconds for the handshake."""


class WebSocketLink:
    """One WebSocket."""

    has_lanes = False

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    @classmethod
    async def open(cls, url: str, origin: str | None = None) -> WebSocketLink:
        """Connects. Only browsers have an origin."""
        socket = await connect(
            url,
            origin=Origin(origin) if origin else None,
            compression=None,
            max_size=MESSAGE_BYTES_MAX,
            open_timeout=OPEN_TIMEOUT,
            close_timeout=OPEN_TIMEOUT,
            ping_interval=None,
            proxy=None,
        )
        return cls(socket)

    async def send(self, lane: Lane, data: bytes) -> None:
        try:
            await self.socket.send(data)
        except ConnectionClosed as closed:
            raise lost(closed) from closed

    async def receive(self) -> tuple[Lane, bytes]:
        try:
            message = await self.socket.recv()
        except ConnectionClosed as closed:
            raise lost(closed) from closed
        if isinstance(message, str):
            raise Malformed("a text message")
        return Lane.LIVE, message

    async def close(self) -> None:
        await self.socket.close()

    def abort(self) -> None:
        self.socket.transport.abort()


def lost(closed: ConnectionClosed) -> LinkClosed:
    """The code of the server's close frame."""
    return LinkClosed(closed.rcvd.code if closed.rcvd else None)
