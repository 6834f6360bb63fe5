"""People for tests: accounts with connections, matched by a category of their own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from nowrong_client import frames as f
from nowrong_client.chat import Chat
from nowrong_client.conversation import Conversation
from nowrong_client.link import Link
from nowrong_client.rest import Account, Api
from nowrong_client.websocket import WebSocketLink
from nowrong_client.webtransport import WebTransportLink

WEBTRANSPORT = "webtransport"
WEBSOCKET = "websocket"
TRANSPORTS = [WEBTRANSPORT, WEBSOCKET]

_numbers = count(1)


@dataclass(slots=True)
class Person:
    """One account and the connections it makes."""

    people: People
    account: Account

    async def link(self, transport: str, origin: str | None = None) -> tuple[Link, str]:
        """A link on which nothing has been sent yet, and a connect token for it."""
        admission = await self.account.connect()
        link: Link
        if transport == WEBTRANSPORT:
            assert admission.webtransport is not None
            link = await WebTransportLink.open(
                admission.webtransport, admission.certificate_hash, origin
            )
        else:
            link = await WebSocketLink.open(admission.websocket, origin)
        self.people.stack.push_async_callback(link.close)
        return link, admission.connect_token

    async def connect(self, transport: str, chat: Chat | None = None) -> Conversation:
        """A connection past `Welcome`."""
        link, token = await self.link(transport)
        conversation = await Conversation.open(link, token, chat)
        self.people.stack.push_async_callback(conversation.close)
        return conversation


class People:
    """Registers people on one server."""

    def __init__(self, http: str, stack: AsyncExitStack) -> None:
        self.api = Api(http)
        self.stack = stack

    async def person(self, *interests: str) -> Person:
        """A new person with a name of its own."""
        name = f"P{next(_numbers)}x{uuid4().hex[:12]}"
        return Person(self, await self.api.register(name, interests))

    async def pair(self, one: str, other: str, category: str = "music") -> Pair:
        """Two people in a chat, each on a transport."""
        interest = uuid4().hex
        persons = [await self.person(interest), await self.person(interest)]
        talks = [await persons[0].connect(one), await persons[1].connect(other)]
        for talk in talks:
            await talk.join(category, interest)
        for talk in talks:
            await talk.push(f.Matched)
        return Pair(persons[0], persons[1], talks[0], talks[1])


@dataclass(slots=True)
class Pair:
    """Ada and Bix, who talk."""

    ada_person: Person
    bix_person: Person
    ada: Conversation
    bix: Conversation
