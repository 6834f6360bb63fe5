"""One transport link as a conversation sees it: bytes of lanes, and an end."""

from __future__ import annotations

from typing import Protocol

from .frames import Lane


class LinkClosed(ConnectionError):
    """The link is gone. `code` is the transport's close code, if there was one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the link is gone ({code})")
        self.code = code


class Link(Protocol):
    """A WebTransport session or a WebSocket."""

    @property
    def has_lanes(self) -> bool:
        """Whether bulk lane and datagrams are separate from the live lane."""
        ...

    async def send(self, lane: Lane, data: bytes) -> None:
        """Writes bytes to a lane, or one datagram; raises `LinkClosed`."""
        ...

    async def receive(self) -> tuple[Lane, bytes]:
        """The next received bytes and their lane; raises `LinkClosed` once all are taken."""
        ...

    async def close(self) -> None:
        """Closes the link and waits until it is closed."""
        ...

    def abort(self) -> None:
        """Loses the link without a goodbye, as a broken network does."""
        ...
