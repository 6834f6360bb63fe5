"""A whole conversation, over each transport and over both at once."""

from uuid import uuid4

import pytest

from nowrong_client import frames as f
from nowrong_client.conversation import Failed
from nowrong_client.envelope import encode, encode_datagram
from nowrong_client.frames import ErrorCode, Lane
from nowrong_client.rest import Problem

from .mallory import Mallory
from .people import TRANSPORTS, WEBSOCKET, WEBTRANSPORT, People

PAIRS = [(WEBTRANSPORT, WEBTRANSPORT), (WEBSOCKET, WEBSOCKET), (WEBTRANSPORT, WEBSOCKET)]

pairs = pytest.mark.parametrize(("one", "other"), PAIRS)
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


async def test_registering_and_categories(people: People) -> None:
    person = await people.person("jazz")
    assert person.account.user["interests"] == ["jazz"]
    await person.account.refresh()
    assert "music" in await people.api.categories()
    admission = await person.account.connect()
    assert admission.expires_in_ms == 30_000
    assert admission.webtransport is not None


async def test_a_registration_and_a_refresh_can_be_sent_again(people: People) -> None:
    key = uuid4().hex
    name = f"Robin{key[:6]}"
    accounts = [await people.api.register(name, key=key) for _ in range(3)]
    assert len({account.user["id"] for account in accounts}) == 1
    old = accounts[0].refresh_token
    for _ in range(3):
        accounts[0].refresh_token = old
        await accounts[0].refresh()
    await accounts[1].refresh()
    await accounts[0].refresh()
    accounts[2].refresh_token = old
    with pytest.raises(Problem):
        await accounts[2].refresh()
    with pytest.raises(Problem) as refused:
        await people.api.register(name, key=key)
    assert refused.value.status == 422


@each_transport
async def test_welcome_says_the_bounds_and_that_nothing_is_yet(
    people: People, transport: str
) -> None:
    talk = await (await people.person()).connect(transport)
    assert talk.welcome.version == 1
    assert talk.welcome.limits == f.Limits(65_536, 8_000, 2_000, 20_000, 50_000, 90_000)
    assert talk.welcome.ticket is None
    assert talk.welcome.chat is None
    assert (await talk.ping(7)).nonce == 7


async def test_a_copy_comes_before_its_stream_and_counts_once(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    lane = encode(f.Ping(1)) + encode(f.Ping(2))
    copy = encode_datagram(f.LaneCopy(len(encode(mallory.hello())), lane))
    await mallory.write(copy, Lane.DATAGRAM)
    assert [(await mallory.expect(f.Pong)).nonce for _ in range(2)] == [1, 2]
    await mallory.write(copy, Lane.DATAGRAM)
    await mallory.write(lane + encode(f.Ping(3)))
    assert (await mallory.expect(f.Pong)).nonce == 3
    await mallory.link.close()


@pairs
async def test_two_people_talk(people: People, one: str, other: str) -> None:
    pair = await people.pair(one, other)
    ada, bix = pair.ada, pair.bix

    said = await ada.send("Hi! Who is your favourite?")
    assert said.position == f.Position(1, 1)
    heard = await bix.push(f.Message)
    assert (heard.position, heard.body.text) == (said.position, "Hi! Who is your favourite?")
    assert heard.at_ms == said.at_ms

    answered = await bix.send("Coltrane!", reply_to=heard.position)
    assert answered.position == f.Position(1, 2)
    reply = await ada.push(f.Message)
    assert (reply.reply_to, reply.body.text) == (said.position, "Coltrane!")

    await bix.delivered(heard.position)
    await ada.push(f.ReadCursor, lambda cursor: cursor.delivered == heard.position)
    await bix.read(heard.position)
    await ada.push(f.ReadCursor, lambda cursor: cursor.read == heard.position)

    texts = ["Hi! Who is your favourite?", "Coltrane!"]
    for talk in (ada, bix):
        page = await talk.history()
        assert [message.body.text for message in page.messages] == texts
        assert not page.has_more
        assert talk.chat is not None
        assert talk.chat.texts == texts
        assert talk.lanes_seen["Page"] == (Lane.BULK if talk.link.has_lanes else Lane.LIVE)
    # The sender never got its own message.
    assert not ada.has_push(f.Message)
    assert not bix.has_push(f.Message)


@pairs
async def test_matched_says_who_and_why(people: People, one: str, other: str) -> None:
    shared = uuid4().hex
    first, second = await people.person(), await people.person()
    ada, bix = await first.connect(one), await second.connect(other)
    queued = await ada.join("music", "tea", shared)
    assert queued.ticket.category == "music"
    assert queued.ticket.interests == ("tea", shared)
    assert queued.ticket.stage == f.Stage.INTERESTS
    await bix.join("music", shared)
    states = []
    for talk, person in ((ada, first), (bix, second)):
        state = (await talk.push(f.Matched)).chat
        states.append(state)
        assert state.why == f.Why((shared,), True)
        assert state.members[state.you].name == person.account.user["name"]
        assert all(member.seat == f.SeatState.TAKEN for member in state.members)
        assert (state.category, state.head, state.resumed) == ("music", f.START, f.START)
        assert state.expires_at_ms - state.started_at_ms == 24 * 3_600_000
    assert states[0].chat == states[1].chat
    assert {state.you for state in states} == {0, 1}


@pairs
async def test_signals_come_as_datagrams_where_there_are_any(
    people: People, one: str, other: str
) -> None:
    pair = await people.pair(one, other)
    assert pair.ada.chat is not None
    me = pair.ada.chat.state.you
    # A signal may be lost; here, where nothing is lost, it must arrive.
    await pair.ada.typing(True)
    typing = await pair.bix.push(f.MemberTyping)
    assert (typing.member, typing.is_typing) == (me, True)
    await pair.ada.typing(False)
    assert not (await pair.bix.push(f.MemberTyping)).is_typing
    await pair.ada.presence(f.PresenceState.AWAY)
    assert (await pair.bix.push(f.MemberPresence)).state == f.PresenceState.AWAY
    lane = Lane.DATAGRAM if pair.bix.link.has_lanes else Lane.LIVE
    assert pair.bix.lanes_seen["MemberTyping"] == lane
    assert pair.bix.lanes_seen["MemberPresence"] == lane


@pairs
async def test_a_message_is_deleted_for_both(people: People, one: str, other: str) -> None:
    pair = await people.pair(one, other)
    said = await pair.ada.send("oops")
    heard = await pair.bix.push(f.Message)
    with pytest.raises(Failed) as failed:
        await pair.bix.delete(heard.position)
    assert failed.value.code == ErrorCode.MESSAGE_NOT_YOURS
    with pytest.raises(Failed) as failed:
        await pair.ada.delete(f.Position(1, 99))
    assert failed.value.code == ErrorCode.MESSAGE_UNKNOWN
    await pair.ada.delete(said.position)
    assert (await pair.bix.push(f.Deleted)).position == said.position
    for talk in (pair.ada, pair.bix):
        (message,) = (await talk.history()).messages
        assert message.body == f.Body(f.Body.DELETED, b"")


@each_transport
async def test_history_comes_in_pages(people: People, transport: str) -> None:
    pair = await people.pair(transport, transport)
    for number in range(7):
        await pair.ada.send(f"message {number}")
    seqs: list[list[int]] = []
    before = None
    while True:
        page = await pair.bix.history(before, limit=3)
        seqs.append([message.position.seq for message in page.messages])
        if not page.has_more:
            break
        before = page.messages[0].position
    assert seqs == [[5, 6, 7], [2, 3, 4], [1]]


@each_transport
async def test_sending_again_is_the_same_message(people: People, transport: str) -> None:
    pair = await people.pair(transport, transport)
    assert pair.ada.chat is not None
    send = pair.ada.chat.sending(0, "once", None)
    acks = [
        await pair.ada.request(
            lambda request: f.Send(request, send.chat, send.client_message_id, None, send.body)
        )
        for _ in range(3)
    ]
    assert {ack.position for ack in acks if isinstance(ack, f.Ack)} == {f.Position(1, 1)}
    assert len((await pair.bix.history()).messages) == 1


@pairs
async def test_leaving_ends_the_chat_for_both(people: People, one: str, other: str) -> None:
    pair = await people.pair(one, other)
    await pair.ada.send("bye")
    await pair.ada.leave()
    assert pair.ada.chat is not None
    for talk in (pair.ada, pair.bix):
        ended = await talk.push(f.Ended)
        assert (ended.reason, ended.member) == (f.EndReason.LEFT, pair.ada.chat.state.you)
        assert len((await talk.history()).messages) == 1
        with pytest.raises(Failed) as failed:
            await talk.send("too late")
        assert failed.value.code == ErrorCode.CHAT_ENDED


@pairs
async def test_next_waits_for_another_partner(people: People, one: str, other: str) -> None:
    pair = await people.pair(one, other)
    queued = await pair.ada.next()
    assert queued.ticket.category == "music"
    await pair.bix.push(f.Ended)
    # Bix asks for the same, but is a recent partner: the two are not matched again so soon.
    again = await pair.bix.next()
    assert again.ticket.interests == queued.ticket.interests
    third = await (await people.person()).connect(one)
    await third.join("music", *queued.ticket.interests)
    matched = await third.push(f.Matched)
    # The one who has waited longer; either, when both asked within a millisecond.
    tickets = {pair.ada: queued.ticket, pair.bix: again.ticket}
    met, alone = sorted(tickets, key=lambda talk: (tickets[talk].since_ms, tickets[talk].ticket))
    assert (await met.push(f.Matched)).chat.chat == matched.chat.chat
    # A ticket that can be given up was not matched.
    await alone.cancel(tickets[alone].ticket)


@pairs
async def test_who_is_blocked_is_not_met_again(people: People, one: str, other: str) -> None:
    pair = await people.pair(one, other)
    assert pair.ada.chat is not None
    await pair.ada.block()
    ended = await pair.bix.push(f.Ended)
    assert (ended.reason, ended.member) == (f.EndReason.LEFT, pair.ada.chat.state.you)
    tickets = [(talk, await talk.join("music", "jazz")) for talk in (pair.ada, pair.bix)]
    # A ticket that can be given up was not matched: never both.
    for talk, queued in tickets:
        await talk.cancel(queued.ticket.ticket)
        with pytest.raises(Failed) as failed:
            await talk.cancel(queued.ticket.ticket)
        assert failed.value.code == ErrorCode.TICKET_UNKNOWN


@each_transport
async def test_a_ticket_is_one_and_can_be_cancelled(people: People, transport: str) -> None:
    talk = await (await people.person()).connect(transport)
    queued = await talk.join("books", uuid4().hex)
    with pytest.raises(Failed) as failed:
        await talk.join("books")
    assert failed.value.code == ErrorCode.ALREADY_QUEUED
    await talk.cancel(queued.ticket.ticket)


@each_transport
async def test_a_lost_partner_has_a_held_seat(people: People, transport: str) -> None:
    pair = await people.pair(transport, transport)
    await pair.ada.close()
    assert pair.ada.chat is not None
    seat = await pair.bix.push(f.Seat)
    assert (seat.member, seat.state) == (pair.ada.chat.state.you, f.SeatState.HELD)
    assert seat.held_until_ms > 0
