"""The cost of silence: SPEC §12. The waits of one test run in parallel."""

import asyncio
from time import monotonic

from nowrong_client import frames as f
from nowrong_client.envelope import encode
from nowrong_client.frames import CloseCode, Lane

from .mallory import Mallory
from .people import TRANSPORTS, WEBSOCKET, WEBTRANSPORT, People, Person

HELLO_DEADLINE = 5.0
PARTIAL_FRAME_DEADLINE = 10.0
CONNECT_TOKEN_LIFETIME = 30.0

LATE = 10.0
"""Seconds that a busy machine may be late."""


async def closes(mallory: Mallory, code: CloseCode, after: float) -> None:
    """The server sends `Bye` with `code` after this many seconds, and not before."""
    start = monotonic()
    assert (await mallory.bye(after + LATE)).code == code
    # Its clock started a little before ours.
    assert monotonic() - start > after - 1


async def no_hello(person: Person, transport: str, beginning: int) -> None:
    """A live lane without a complete `Hello`, however much of it has arrived. A stream exists once
    its first bytes arrive, including those that WebTransport puts in front."""
    mallory = await Mallory.open(person, transport)
    if mallory.link.has_lanes:
        await mallory.write(encode(mallory.hello())[:beginning])
    await closes(mallory, CloseCode.HELLO_LATE, HELLO_DEADLINE)


async def half_a_frame(person: Person, lane: Lane) -> None:
    """A frame that is started but not finished."""
    mallory = await Mallory.welcomed(person, WEBTRANSPORT)
    await mallory.write(encode(f.Join(1, "music", ()))[:3], lane)
    await closes(mallory, CloseCode.FRAME_LATE, PARTIAL_FRAME_DEADLINE)


async def an_old_token(person: Person, transport: str) -> None:
    """A connect token that was not used in time."""
    admission = await person.account.connect()
    await asyncio.sleep(CONNECT_TOKEN_LIFETIME)
    mallory = await Mallory.open(person, transport)
    await mallory.say(mallory.hello(token=admission.connect_token))
    assert (await mallory.bye()).code == CloseCode.TOKEN_REFUSED


async def nothing_said(person: Person, transport: str, idle_timeout: float) -> None:
    """A client that sends nothing at all, not even a `Ping`."""
    mallory = await Mallory.welcomed(person, transport)
    await closes(mallory, CloseCode.IDLE, idle_timeout)


async def nothing_said_but_pings(people: People, transport: str) -> None:
    """A client that has nothing to send keeps its connection by pinging."""
    talk = await (await people.person()).connect(transport)
    await asyncio.sleep(talk.welcome.limits.idle_timeout_ms / 1_000 + LATE)
    await talk.ping(1)


async def test_silence(people: People) -> None:
    limits = (await (await people.person()).connect(WEBSOCKET)).welcome.limits
    idle_timeout = limits.idle_timeout_ms / 1_000
    async with asyncio.TaskGroup() as group:
        for transport in TRANSPORTS:
            group.create_task(an_old_token(await people.person(), transport))
            group.create_task(nothing_said(await people.person(), transport, idle_timeout))
            group.create_task(nothing_said_but_pings(people, transport))
        group.create_task(no_hello(await people.person(), WEBSOCKET, 0))
        group.create_task(no_hello(await people.person(), WEBTRANSPORT, 0))
        group.create_task(no_hello(await people.person(), WEBTRANSPORT, 5))
        for lane in (Lane.LIVE, Lane.BULK):
            group.create_task(half_a_frame(await people.person(), lane))
