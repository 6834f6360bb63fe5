"""Connections that are lost, and chats that are resumed: SPEC §9."""

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from nowrong_client import frames as f
from nowrong_client.chat import Chat
from nowrong_client.frames import CloseCode

from .people import TRANSPORTS, WEBSOCKET, WEBTRANSPORT, People
from .server import Server

SWITCHES = [(one, other) for one in TRANSPORTS for other in TRANSPORTS]

switches = pytest.mark.parametrize(("before", "after"), SWITCHES)


@switches
async def test_with_nothing_received_all_comes(people: People, before: str, after: str) -> None:
    pair = await people.pair(before, before)
    held = await pair.bix.drop()
    for text in ("one", "two", "three"):
        await pair.ada.send(text)
    assert held is not None
    chat = Chat(held.state)
    assert chat.resume().position == f.START
    bix = await pair.bix_person.connect(after, chat)
    assert bix.welcome.chat is not None
    assert bix.welcome.chat.resumed == f.START
    assert bix.welcome.chat.unread == 3
    heard = [await bix.push(f.Message) for _ in range(3)]
    assert [message.body.text for message in heard] == ["one", "two", "three"]
    assert chat.texts == ["one", "two", "three"]


@switches
async def test_exactly_the_gap_comes(people: People, before: str, after: str) -> None:
    pair = await people.pair(before, before)
    await pair.ada.send("heard")
    await pair.bix.push(f.Message)
    await pair.bix.send("said")
    chat = await pair.bix.drop()
    await pair.ada.send("missed")
    bix = await pair.bix_person.connect(after, chat)
    assert bix.welcome.chat is not None
    assert bix.welcome.chat.resumed == f.Position(1, 2)
    assert bix.welcome.chat.head == f.Position(1, 3)
    assert (await bix.push(f.Message)).body.text == "missed"
    await bix.send("back")
    assert (await pair.ada.push(f.Message, lambda m: m.body.text == "back")).position.seq == 4
    assert not bix.has_push(f.Message)
    assert bix.chat is not None
    assert bix.chat.texts == ["heard", "said", "missed", "back"]


@switches
async def test_a_switch_in_mid_chat_loses_and_repeats_nothing(
    people: People, before: str, after: str
) -> None:
    pair = await people.pair(before, WEBSOCKET)
    texts = [f"message {number}" for number in range(60)]

    async def talk(part: list[str]) -> None:
        for text in part:
            await pair.ada.send(text)

    bix = pair.bix
    for start in (0, 20, 40):
        talking = asyncio.create_task(talk(texts[start : start + 20]))
        await bix.holds(start + 5)
        # The old connection stands until the new one is welcomed; then it is closed.
        old, bix = bix, await pair.bix_person.connect(after, bix.chat)
        assert (await old.closed()).bye is not None
        await talking
    await bix.holds(len(texts))
    assert bix.chat is not None
    assert bix.chat.texts == texts
    positions = [bix.chat.entries[seq].position for seq in sorted(bix.chat.entries)]
    assert all(one < other for one, other in pairwise(positions))


@switches
async def test_sends_without_an_ack_are_sent_again(people: People, before: str, after: str) -> None:
    pair = await people.pair(before, before)
    assert pair.ada.chat is not None
    sending = asyncio.gather(*(pair.ada.send(f"{n}") for n in range(20)), return_exceptions=True)
    await pair.bix.push(f.Message)
    chat = await pair.ada.drop()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    ada = await pair.ada_person.connect(after, chat)
    await ada.resend()
    await ada.send("last")
    heard = await pair.bix.push(f.Message, lambda message: message.body.text == "last")
    assert heard.position.seq == 21
    history = [message.body.text for message in (await pair.bix.history()).messages]
    assert history == [*map(str, range(20)), "last"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_second_connection_replaces_the_first(people: People, transport: str) -> None:
    person = await people.person()
    first = await person.connect(transport)
    await person.connect(transport)
    bye = (await first.closed()).bye
    assert bye is not None
    assert bye.code == CloseCode.REPLACED


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_ticket_outlives_a_lost_connection(people: People, transport: str) -> None:
    person = await people.person("mountains")
    first = await person.connect(transport)
    queued = await first.join("music")
    await first.drop()
    second = await person.connect(transport)
    assert second.welcome.ticket is not None
    assert second.welcome.ticket.ticket == queued.ticket.ticket
    await second.cancel(queued.ticket.ticket)


@switches
async def test_deletions_come_again(people: People, before: str, after: str) -> None:
    pair = await people.pair(before, before)
    said = await pair.ada.send("oops")
    await pair.bix.push(f.Message)
    chat = await pair.bix.drop()
    await pair.ada.delete(said.position)
    bix = await pair.bix_person.connect(after, chat)
    assert (await bix.push(f.Deleted)).position == said.position
    assert bix.chat is not None
    assert bix.chat.texts == [None]


@switches
async def test_an_ended_chat_can_be_taken_up_to_read(
    people: People, before: str, after: str
) -> None:
    pair = await people.pair(before, before)
    chat = await pair.bix.drop()
    await pair.ada.send("you were gone")
    await pair.ada.leave()
    bix = await pair.bix_person.connect(after, chat)
    assert bix.welcome.chat is not None
    assert (await bix.push(f.Message)).body.text == "you were gone"
    assert (await bix.push(f.Ended)).reason == f.EndReason.LEFT
    assert len((await bix.history()).messages) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_chat_of_others_is_gone(people: People, transport: str) -> None:
    pair = await people.pair(WEBSOCKET, WEBSOCKET)
    assert pair.ada.chat is not None
    stranger = await (await people.person()).connect(transport, Chat(pair.ada.chat.state))
    assert (await stranger.push(f.Gone)).chat == pair.ada.chat.id
    assert stranger.welcome.chat is None
    assert stranger.chat is not None
    assert stranger.chat.is_gone


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_was_acked_outlives_a_killed_server(folder: Path, transport: str) -> None:
    with Server(folder, data=str(folder / "data")) as server:
        async with AsyncExitStack() as stack:
            people = People(server.http, stack)
            pair = await people.pair(transport, transport)
            await pair.ada.send("kept")
            await pair.bix.push(f.Message)
            server.restart()
            ada = await pair.ada_person.connect(WEBTRANSPORT, await pair.ada.drop())
            bix = await pair.bix_person.connect(WEBSOCKET, await pair.bix.drop())
            assert bix.welcome.chat is not None
            said = await ada.send("and on")
            assert said.position.seq == 2
            assert said.position.epoch > 1
            assert (await bix.push(f.Message)).body.text == "and on"
            for talk in (ada, bix):
                assert talk.chat is not None
                assert talk.chat.texts == ["kept", "and on"]


async def test_a_lost_partner_has_a_held_seat_until_it_is_back(people: People) -> None:
    # A broken TCP connection is noticed at once; a QUIC connection that falls silent is not.
    pair = await people.pair(WEBTRANSPORT, WEBSOCKET)
    chat = await pair.bix.drop()
    assert chat is not None
    held = await pair.ada.push(f.Seat)
    assert (held.member, held.state) == (chat.state.you, f.SeatState.HELD)
    assert held.held_until_ms > 0
    await pair.bix_person.connect(WEBTRANSPORT, chat)
    assert await pair.ada.push(f.Seat) == f.Seat(chat.id, held.member, f.SeatState.TAKEN, 0)
