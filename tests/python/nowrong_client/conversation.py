"""The client's side of a connection: SPEC §6, §8 and §9, over any link.

A `Conversation` owns its link. One task reads: replies go to their requests, pushes wait until they
are taken with `push`, and the chat learns from both. Another task sends `Ping` after silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from . import frames as f
from .chat import Chat
from .codec import Malformed
from .copies import CopyReader
from .envelope import Decoder, TooLarge, decode_datagram, encode, encode_datagram
from .frames import Frame, Lane
from .link import Link, LinkClosed

AGENT = "nowrong-python/0.1.0"
VERSIONS = f.VersionRange(1, 1)

WELCOME_DEADLINE = 10.0
"""Seconds from `Hello` to its answer."""

REPLY_DEADLINE = 15.0
"""Seconds from a request to its reply, and the longest wait for a push."""

PONG_DEADLINE = 10.0
"""Seconds from a `Ping` to the next sign of life."""

PUSHES_MAX = 100_000
"""How many pushes may wait to be taken; with more, the connection is dropped."""

P = TypeVar("P", bound=Frame)


class Closed(ConnectionError):
    """The connection ended: `bye` is the server's last frame, if there was one."""

    def __init__(
        self, bye: f.Bye | None, transport_code: int | None, mistake: Exception | None = None
    ) -> None:
        super().__init__(f"closed: {bye}, transport code {transport_code}, mistake {mistake!r}")
        self.bye = bye
        self.transport_code = transport_code


class Failed(Exception):
    """A request failed."""

    def __init__(self, fail: f.Fail) -> None:
        super().__init__(f"{fail.code!r}: {fail.detail}")
        self.fail = fail
        self.code = fail.code


class Conversation:
    """One connection of one user, after `Welcome`."""

    def __init__(self, link: Link, chat: Chat | None) -> None:
        self.link = link
        self.chat = chat
        self.welcome: f.Welcome
        self.lanes_seen: dict[str, Lane] = {}
        self._decoders = {Lane.LIVE: Decoder(), Lane.BULK: Decoder()}
        self._copies = CopyReader()
        self._requests = 0
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._pushes: list[Frame] = []
        self._news = asyncio.Event()
        self._spoke = asyncio.Event()
        self._heard = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._end: Closed | None = None

    @classmethod
    async def open(cls, link: Link, connect_token: str, chat: Chat | None = None) -> Conversation:
        """Sends `Hello`, and resumes the chat that an earlier connection held."""
        conversation = cls(link, chat)
        resume = (chat.resume(),) if chat is not None else ()
        hello = f.Hello(VERSIONS, connect_token, AGENT, resume)
        try:
            async with asyncio.timeout(WELCOME_DEADLINE):
                await conversation._send(Lane.LIVE, hello)
                await conversation._greeted()
        except BaseException:
            link.abort()
            raise
        conversation._tasks = [
            asyncio.create_task(conversation._read()),
            asyncio.create_task(conversation._keep_alive()),
        ]
        return conversation

    # Requests.

    async def join(self, category: str, *interests: str) -> f.Queued:
        """Waits for a partner in a category."""
        return await self._request(f.Queued, f.Join(self._id(), category, interests))

    async def cancel(self, ticket: UUID) -> None:
        """Stops waiting."""
        await self._request(f.Done, f.Cancel(self._id(), ticket))

    async def send(self, text: str, reply_to: f.Position | None = None) -> f.Ack:
        """Says something; the message is durable when this returns."""
        chat = self._chat()
        return await self._sent(chat.sending(self._id(), text, reply_to))

    async def resend(self) -> list[f.Ack]:
        """Sends every message without an `Ack` again, in the original order."""
        unacked = list(self._chat().unacked.values())
        again = [
            f.Send(self._id(), send.chat, send.client_message_id, send.reply_to, send.body)
            for send in unacked
        ]
        return list(await asyncio.gather(*map(self._sent, again)))

    async def delete(self, position: f.Position) -> None:
        """Deletes one's own message for both members."""
        chat = self._chat()
        await self._request(f.Done, f.Delete(self._id(), chat.id, position))
        chat.deleted(position)

    async def leave(self) -> None:
        """Ends the chat."""
        await self._request(f.Done, f.Leave(self._id(), self._chat().id))

    async def next(self) -> f.Queued:
        """Ends the chat and waits for another partner."""
        return await self._request(f.Queued, f.Next(self._id(), self._chat().id))

    async def block(self) -> None:
        """Ends the chat, and never matches the user with this partner again."""
        await self._request(f.Done, f.Block(self._id(), self._chat().id))

    async def history(
        self, before: f.Position | None = None, limit: int = 100, lane: Lane = Lane.BULK
    ) -> f.Page:
        """A page of messages, on the bulk lane where there is one."""
        request = f.History(self._id(), self._chat().id, before, limit)
        return await self._request(f.Page, request, lane)

    async def request(self, make: Callable[[int], Frame]) -> Frame:
        """Sends any request, made with its id; returns its reply or raises `Failed`."""
        return await self._request(Frame, make(self._id()))

    # Cursors and signals.

    async def delivered(self, position: f.Position) -> None:
        """Everything up to here has arrived."""
        await self._send(Lane.LIVE, f.Delivered(self._chat().id, position))

    async def read(self, position: f.Position) -> None:
        """Everything up to here was read."""
        await self._send(Lane.LIVE, f.Read(self._chat().id, position))

    async def typing(self, is_typing: bool) -> None:
        """I am typing, or I stopped."""
        await self._send(Lane.DATAGRAM, f.Typing(self._chat().id, is_typing))

    async def presence(self, state: f.PresenceState) -> None:
        """I am looking at the chat, or I have turned away."""
        await self._send(Lane.DATAGRAM, f.Presence(self._chat().id, state))

    async def ping(self, nonce: int) -> f.Pong:
        """Asks for a sign of life."""
        await self._send(Lane.LIVE, f.Ping(nonce))
        return await self.push(f.Pong, lambda pong: pong.nonce == nonce)

    # Pushes.

    async def push(self, kind: type[P], where: Callable[[P], bool] = lambda _: True) -> P:
        """The next push of this kind that fits, including those that have already arrived."""
        async with asyncio.timeout(REPLY_DEADLINE):
            while True:
                for at, push in enumerate(self._pushes):
                    if isinstance(push, kind) and where(push):
                        del self._pushes[at]
                        return push
                if self._end is not None:
                    raise self._end
                self._news.clear()
                await self._news.wait()

    def has_push(self, kind: type[Frame]) -> bool:
        """Whether a push of this kind waits to be taken."""
        return any(isinstance(push, kind) for push in self._pushes)

    async def holds(self, count: int) -> None:
        """Waits until the chat holds this many messages, from any connection."""
        async with asyncio.timeout(REPLY_DEADLINE):
            while len(self._chat().entries) < count:
                if self._end is not None:
                    raise self._end
                self._news.clear()
                await self._news.wait()

    async def closed(self) -> Closed:
        """Waits for the end of the connection; returns the reason."""
        async with asyncio.timeout(REPLY_DEADLINE):
            while self._end is None:
                self._news.clear()
                await self._news.wait()
        return self._end

    # Ending the connection.

    async def close(self) -> None:
        """Leaves with `Bye`. The seat in the chat is held."""
        with suppress(LinkClosed):
            await self._send(Lane.LIVE, f.Bye(f.CloseCode.CLIENT_LEFT, 0, ""))
        await self._stop()
        await self.link.close()

    async def drop(self) -> Chat | None:
        """Loses the connection without a goodbye; returns the chat to resume."""
        self.link.abort()
        await self._stop()
        return self.chat

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Internals.

    def _id(self) -> int:
        self._requests += 1
        return self._requests

    def _chat(self) -> Chat:
        if self.chat is None:
            raise RuntimeError("there is no chat")
        return self.chat

    async def _sent(self, send: f.Send) -> f.Ack:
        chat = self._chat()
        try:
            ack = await self._request(f.Ack, send)
        except Failed:
            chat.unacked.pop(send.client_message_id, None)
            raise
        chat.acked(send, ack.position)
        return ack

    async def _request(self, kind: type[P], request: Frame, lane: Lane = Lane.LIVE) -> P:
        if self._end is not None:
            raise self._end
        number = self._requests_of(request)
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(REPLY_DEADLINE):
                await self._send(lane, request)
                reply = await future
        finally:
            del self._waiting[number]
        if isinstance(reply, f.Fail):
            raise Failed(reply)
        assert isinstance(reply, kind), f"{request} has the reply {reply}"
        return reply

    @staticmethod
    def _requests_of(frame: Frame) -> int:
        number = getattr(frame, "request", None)
        assert isinstance(number, int), f"{frame} is not a request"
        return number

    async def _send(self, lane: Lane, frame: Frame) -> None:
        if not self.link.has_lanes:
            lane = Lane.LIVE
        data = encode_datagram(frame) if lane == Lane.DATAGRAM else encode(frame)
        await self.link.send(lane, data)
        self._spoke.set()

    async def _greeted(self) -> None:
        while not hasattr(self, "welcome"):
            for frame in await self._receive():
                self._take(frame)
            if self._end is not None:
                raise self._end

    async def _receive(self) -> list[Frame]:
        """The frames of the next bytes; unknown ones are skipped."""
        try:
            lane, data = await self.link.receive()
        except LinkClosed as closed:
            self._finish(Closed(None, closed.code))
            return []
        if lane == Lane.DATAGRAM:
            frame = decode_datagram(data)
            if not isinstance(frame, f.LaneCopy):
                return self._seen(lane, [frame])
            lane, data = Lane.LIVE, self._copies.copy(frame)
        elif lane == Lane.LIVE:
            data = self._copies.stream(data)
        decoder = self._decoders[lane]
        decoder.feed(data)
        frames = []
        while (raw := decoder.next()) is not None:
            frames.append(raw.decode())
        if decoder.is_partial and not self.link.has_lanes:
            raise Malformed("a frame is split over messages")
        return self._seen(lane, frames)

    def _seen(self, lane: Lane, frames: list[Frame | None]) -> list[Frame]:
        known = [frame for frame in frames if frame is not None]
        for frame in known:
            self.lanes_seen[type(frame).__name__] = lane
        return known

    async def _read(self) -> None:
        try:
            while self._end is None:
                for frame in await self._receive():
                    self._heard.set()
                    if isinstance(frame, f.Ping):
                        await self._send(Lane.LIVE, f.Pong(frame.nonce))
                    else:
                        self._take(frame)
        except LinkClosed as closed:
            self._finish(Closed(None, closed.code))
        except (Malformed, TooLarge, AssertionError) as mistake:
            # The server made a mistake: everything that waits is told which.
            self._finish(Closed(None, None, mistake))
            self.link.abort()
        if self._end is not None and self._end.bye is not None:
            await self.link.close()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, f.Bye):
            return self._finish(Closed(frame, None))
        if isinstance(frame, f.Welcome):
            self._welcomed(frame)
        if (request := getattr(frame, "request", None)) is not None:
            waiting = self._waiting.get(request)
            assert waiting is not None, f"a reply to nothing: {frame}"
            return waiting.set_result(frame)
        self._learn(frame)
        self._pushes.append(frame)
        if len(self._pushes) > PUSHES_MAX:
            self.link.abort()
        self._news.set()
        return None

    def _welcomed(self, welcome: f.Welcome) -> None:
        self.welcome = welcome
        if welcome.chat is None:
            return
        if self.chat is not None and self.chat.id == welcome.chat.chat:
            self.chat.resumed(welcome.chat)
        else:
            self.chat = Chat(welcome.chat)

    def _learn(self, frame: Frame) -> None:
        if isinstance(frame, f.Matched):
            self.chat = Chat(frame.chat)
        chat = self.chat
        if chat is None or getattr(frame, "chat", None) != chat.id:
            return
        if isinstance(frame, f.Message):
            chat.received(frame)
        elif isinstance(frame, f.Deleted):
            chat.deleted(frame.position)
        elif isinstance(frame, f.Ended):
            chat.ended = frame
        elif isinstance(frame, f.Gone):
            chat.is_gone = True

    def _finish(self, end: Closed) -> None:
        if self._end is None:
            self._end = end
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._end)
        self._news.set()

    async def _keep_alive(self) -> None:
        """Sends `Ping` after silence of its own; without an answer the connection is dead."""
        interval, nonce = self.welcome.limits.ping_interval_ms / 1_000, 0
        while self._end is None:
            self._spoke.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._spoke.wait()
                continue
            nonce += 1
            self._heard.clear()
            try:
                await self._send(Lane.LIVE, f.Ping(nonce))
                async with asyncio.timeout(PONG_DEADLINE):
                    await self._heard.wait()
            except (TimeoutError, LinkClosed):
                self.link.abort()
                return
