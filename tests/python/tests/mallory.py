"""A client without rules: writes anything, and reads what that costs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeVar

from nowrong_client import frames as f
from nowrong_client.envelope import Decoder, decode_datagram, encode
from nowrong_client.frames import Frame, Lane
from nowrong_client.link import Link, LinkClosed

from .people import Person

P = TypeVar("P", bound=Frame)

DEADLINE = 15.0
"""Seconds that an answer may take."""


@dataclass(slots=True)
class Mallory:
    """One link, and the frames received on it."""

    link: Link
    connect_token: str
    decoders: dict[Lane, Decoder] = field(default_factory=dict)
    waiting: list[tuple[Lane, Frame]] = field(default_factory=list)

    @classmethod
    async def open(cls, person: Person, transport: str, origin: str | None = None) -> Mallory:
        """A link on which nothing has been sent yet."""
        link, token = await person.link(transport, origin)
        return cls(link, token)

    @classmethod
    async def welcomed(cls, person: Person, transport: str) -> Mallory:
        """A link past `Welcome`."""
        mallory = await cls.open(person, transport)
        await mallory.say(mallory.hello())
        await mallory.expect(f.Welcome)
        return mallory

    def hello(self, low: int = 1, high: int = 1, token: str | None = None) -> f.Hello:
        """A `Hello`, valid unless told otherwise."""
        return f.Hello(f.VersionRange(low, high), token or self.connect_token, "mallory/1", ())

    async def say(self, *frames: Frame, lane: Lane = Lane.LIVE) -> None:
        """Writes frames in one go."""
        await self.write(b"".join(map(encode, frames)), lane)

    async def write(self, data: bytes, lane: Lane = Lane.LIVE) -> None:
        """Writes any bytes. If the link is already closed, that is ignored."""
        try:
            await self.link.send(lane, data)
        except LinkClosed:
            if not self.waiting:
                await self._receive()

    async def next(self, deadline: float = DEADLINE) -> tuple[Lane, Frame]:
        """The next frame and its lane; raises `LinkClosed` after the last one."""
        async with asyncio.timeout(deadline):
            while not self.waiting:
                await self._receive()
        return self.waiting.pop(0)

    async def _receive(self) -> None:
        lane, data = await self.link.receive()
        if lane == Lane.DATAGRAM:
            # The lane brings the same bytes as a copy.
            frame = decode_datagram(data)
            frames = [] if isinstance(frame, f.LaneCopy) else [frame]
        else:
            decoder = self.decoders.setdefault(lane, Decoder())
            decoder.feed(data)
            frames = []
            while (raw := decoder.next()) is not None:
                frames.append(raw.decode())
        self.waiting += [(lane, frame) for frame in frames if frame is not None]

    async def expect(self, kind: type[P]) -> P:
        """The next frame, which must be of this kind."""
        _, frame = await self.next()
        assert isinstance(frame, kind), frame
        return frame

    async def bye(self, deadline: float = DEADLINE) -> f.Bye:
        """The `Bye` that ends the connection, after any other frames."""
        while True:
            _, frame = await self.next(deadline)
            if isinstance(frame, f.Bye):
                return frame

    async def end(self) -> int | None:
        """Waits until the server closes the link, and makes sure that nothing comes before that;
        returns the transport's own code."""
        try:
            lane, frame = await self.next()
        except LinkClosed as closed:
            return closed.code
        raise AssertionError(f"{frame} on {lane} after Bye")

    async def is_served(self) -> bool:
        """Whether the connection still replies."""
        await self.say(f.Ping(77))
        while True:
            _, frame = await self.next()
            if frame == f.Pong(77):
                return True
            if isinstance(frame, f.Bye):
                return False
