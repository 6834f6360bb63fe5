"""The cost of a mistake: exactly the code that the specification names, and nothing for anybody
else."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from nowrong_client import frames as f
from nowrong_client.codec import varint
from nowrong_client.envelope import (
    DATAGRAM_BYTES_MAX,
    FRAME_BYTES_MAX,
    encode,
    encode_datagram,
    envelope,
)
from nowrong_client.frames import CloseCode, Lane
from nowrong_client.websocket import WebSocketLink
from nowrong_client.webtransport import Refused, WebTransportLink

from .mallory import Mallory
from .people import TRANSPORTS, WEBSOCKET, WEBTRANSPORT, People
from .test_vectors import vectors

UNKNOWN = 9_999
"""A type number that no version knows."""

UNKNOWN_FRAMES_MAX = 1_000

LaneEnd = Callable[[WebTransportLink, Lane], Awaitable[None]]
"""How a client ends a lane."""

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def lanes_of(row: dict[str, Any]) -> list[str]:
    """The transports that have the lane of a misstep."""
    return {"live": TRANSPORTS, "bulk": [WEBTRANSPORT], "message": [WEBSOCKET]}[row["lane"]]


MISSTEPS = [
    pytest.param(param.values[0], transport, id=f"{param.id}-{transport}")
    for param in vectors("missteps")
    for transport in lanes_of(param.values[0])
]


@pytest.mark.parametrize(("row", "transport"), MISSTEPS)
async def test_a_misstep_of_the_vectors(
    people: People, row: dict[str, Any], transport: str
) -> None:
    person = await people.person()
    data = bytes.fromhex(row["hex"])
    lane = Lane.BULK if row["lane"] == "bulk" else Lane.LIVE
    if row["phase"] == "ready":
        mallory = await Mallory.welcomed(person, transport)
        await mallory.write(data, lane)
    else:
        mallory = await Mallory.open(person, transport)
        if lane == Lane.LIVE:
            # Only bytes sent together with `Hello` are sure to arrive before the verdict.
            before = encode(mallory.hello()) if row["phase"] == "verdict" else b""
            await mallory.write(before + data)
        else:
            # The first stream is the live lane, even while it has no bytes.
            await mallory.write(b"")
            await mallory.write(data, lane)
    bye = await mallory.bye()
    assert bye.code == row["code"]
    assert bye.code.name == row["code_name"]  # type: ignore[attr-defined]


@each_transport
async def test_one_bye_and_then_the_transport_closes_with_the_same_number(
    people: People, transport: str
) -> None:
    mallory = await Mallory.welcomed(await people.person(), transport)
    await mallory.write(b"\xff" * 10)
    await mallory.write(b"\xff" * 10)
    assert (await mallory.bye()).code == CloseCode.BAD_FRAME
    await mallory.write(encode(f.Ping(1)))
    assert await mallory.end() == CloseCode.BAD_FRAME


@each_transport
async def test_frames_before_a_mistake_are_carried_out_and_those_after_are_not(
    people: People, transport: str
) -> None:
    mallory = await Mallory.welcomed(await people.person(), transport)
    await mallory.write(encode(f.Ping(1)) + envelope(f.Ping.number, b"") + encode(f.Ping(2)))
    assert await mallory.expect(f.Pong) == f.Pong(1)
    assert (await mallory.expect(f.Bye)).code == CloseCode.BAD_FRAME


@each_transport
@pytest.mark.parametrize(("low", "high"), [(2, 9), (0, 0), (9, 1)])
async def test_no_common_version(people: People, transport: str, low: int, high: int) -> None:
    mallory = await Mallory.open(await people.person(), transport)
    await mallory.say(mallory.hello(low, high))
    assert (await mallory.expect(f.Bye)).code == CloseCode.VERSION_UNSUPPORTED


@each_transport
async def test_the_newest_common_version_is_taken(people: People, transport: str) -> None:
    mallory = await Mallory.open(await people.person(), transport)
    await mallory.say(mallory.hello(0, 9))
    assert (await mallory.expect(f.Welcome)).version == 1


@each_transport
async def test_a_token_is_good_once(people: People, transport: str) -> None:
    person = await people.person()
    first = await Mallory.welcomed(person, transport)
    second = await Mallory.open(person, transport)
    await second.say(second.hello(token=first.connect_token))
    assert (await second.expect(f.Bye)).code == CloseCode.TOKEN_REFUSED
    assert await first.is_served()


@each_transport
@pytest.mark.parametrize("token", ["", "nobody issued this", "x" * 128])
async def test_a_token_that_nobody_issued(people: People, transport: str, token: str) -> None:
    mallory = await Mallory.open(await people.person(), transport)
    await mallory.say(f.Hello(f.VersionRange(1, 1), token, "", ()))
    assert (await mallory.expect(f.Bye)).code == CloseCode.TOKEN_REFUSED


@each_transport
async def test_a_token_of_ascii_only(people: People, transport: str) -> None:
    mallory = await Mallory.open(await people.person(), transport)
    await mallory.say(mallory.hello(token="tökén"))
    assert (await mallory.expect(f.Bye)).code == CloseCode.BAD_FRAME


@each_transport
async def test_an_account_that_was_removed(people: People, transport: str) -> None:
    person = await people.person()
    mallory = await Mallory.open(person, transport)
    await person.account.delete()
    await mallory.say(mallory.hello())
    assert (await mallory.expect(f.Bye)).code == CloseCode.ACCOUNT_GONE


@each_transport
async def test_removing_the_account_ends_its_connection(people: People, transport: str) -> None:
    person = await people.person()
    mallory = await Mallory.welcomed(person, transport)
    await person.account.delete()
    assert (await mallory.bye()).code == CloseCode.ACCOUNT_GONE


@each_transport
async def test_a_foreign_origin_is_let_in_and_told(people: People, transport: str) -> None:
    mallory = await Mallory.open(await people.person(), transport, "https://evil.example")
    await mallory.say(mallory.hello())
    assert (await mallory.expect(f.Bye)).code == CloseCode.ORIGIN_REFUSED


@each_transport
async def test_versions_are_judged_before_the_origin(people: People, transport: str) -> None:
    mallory = await Mallory.open(await people.person(), transport, "https://evil.example")
    await mallory.say(mallory.hello(7, 8))
    assert (await mallory.expect(f.Bye)).code == CloseCode.VERSION_UNSUPPORTED


@each_transport
async def test_unknown_frames_are_skipped_up_to_a_bound(people: People, transport: str) -> None:
    mallory = await Mallory.welcomed(await people.person(), transport)
    noise = envelope(UNKNOWN, b"of a newer peer")
    for _ in range(10):
        await mallory.write(noise * (UNKNOWN_FRAMES_MAX // 10))
    assert await mallory.is_served()
    await mallory.write(noise)
    assert (await mallory.bye()).code == CloseCode.TOO_MANY_UNKNOWN


async def test_unknown_frames_are_skipped_on_the_bulk_lane(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    await mallory.write(envelope(UNKNOWN, b"x" * FRAME_BYTES_MAX), Lane.BULK)
    chat = uuid4()
    await mallory.say(f.History(5, chat, None, 10), lane=Lane.BULK)
    lane, fail = await mallory.next()
    assert lane == Lane.BULK
    assert isinstance(fail, f.Fail)
    assert (fail.request, fail.code) == (5, f.ErrorCode.CHAT_UNKNOWN)


@pytest.mark.parametrize("end", [WebTransportLink.finish, WebTransportLink.reset])
async def test_a_bulk_lane_may_end_inside_a_frame_and_be_opened_again(
    people: People, end: LaneEnd
) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    link = mallory.link
    assert isinstance(link, WebTransportLink)
    chat = uuid4()
    await mallory.write(encode(f.History(1, chat, None, 10))[:-1], Lane.BULK)
    await end(link, Lane.BULK)
    del link.streams[Lane.BULK]
    await mallory.say(f.History(2, chat, None, 10), lane=Lane.BULK)
    lane, fail = await mallory.next()
    assert lane == Lane.BULK
    assert isinstance(fail, f.Fail)
    assert (fail.request, fail.code) == (2, f.ErrorCode.CHAT_UNKNOWN)


@each_transport
async def test_bytes_after_the_last_known_field_are_ignored(people: People, transport: str) -> None:
    mallory = await Mallory.open(await people.person(), transport)
    body = f.Hello.codec.write(mallory.hello()) + b"newer fields"
    await mallory.write(envelope(f.Hello.number, body))
    await mallory.expect(f.Welcome)
    await mallory.write(envelope(f.Ping.number, f.Ping.codec.write(f.Ping(3)) + b"\xff\xff"))
    assert await mallory.expect(f.Pong) == f.Pong(3)


@each_transport
async def test_longer_varints_are_read(people: People, transport: str) -> None:
    mallory = await Mallory.welcomed(await people.person(), transport)
    await mallory.write(b"\xfd" + (5).to_bytes(8, "little") + b"\xfb\x03\0" + b"\xfb\x05\0")
    assert await mallory.expect(f.Pong) == f.Pong(5)


async def test_a_frame_may_come_byte_by_byte_and_many_at_once(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    for byte in encode(f.Ping(1_000_000)):
        await mallory.write(bytes((byte,)))
    assert await mallory.expect(f.Pong) == f.Pong(1_000_000)
    await mallory.say(*(f.Ping(nonce) for nonce in range(100)))
    assert [await mallory.expect(f.Pong) for _ in range(100)] == [f.Pong(n) for n in range(100)]


# Datagrams never end a connection.


def bad_datagrams() -> dict[str, bytes]:
    chat = uuid4()
    typing = encode_datagram(f.Typing(chat, True))
    return {
        "empty": b"",
        "marker": b"\xff\xff",
        "cut": typing[:-1],
        "bool_two": typing[:-1] + b"\2",
        "unknown": varint(UNKNOWN) + b"newer",
        "live_frame": encode_datagram(f.Ping(1)),
        "bulk_frame": encode_datagram(f.History(1, chat, None, 1)),
        "servers_frame": encode_datagram(f.MemberTyping(chat, 0, True)),
        "hello": encode_datagram(f.Hello(f.VersionRange(1, 1), "x", "", ())),
        "not_ours": typing,
        "too_long": typing + bytes(DATAGRAM_BYTES_MAX + 1 - len(typing)),
    }


@pytest.mark.parametrize("name", bad_datagrams())
async def test_a_bad_datagram_is_dropped_without_a_word(people: People, name: str) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    await mallory.write(bad_datagrams()[name], Lane.DATAGRAM)
    await mallory.say(f.Ping(1))
    assert await mallory.expect(f.Pong) == f.Pong(1)


async def test_datagrams_before_welcome_are_dropped(people: People) -> None:
    mallory = await Mallory.open(await people.person(), WEBTRANSPORT)
    for datagram in bad_datagrams().values():
        await mallory.write(datagram, Lane.DATAGRAM)
    await mallory.write(encode(mallory.hello()))
    await mallory.write(encode_datagram(f.Typing(uuid4(), True)), Lane.DATAGRAM)
    await mallory.expect(f.Welcome)


async def test_unknown_datagrams_do_not_count(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    for _ in range(UNKNOWN_FRAMES_MAX + 100):
        await mallory.write(varint(UNKNOWN), Lane.DATAGRAM)
    assert await mallory.is_served()


async def test_too_long_datagrams_say_nothing_to_the_partner(people: People) -> None:
    pair = await people.pair(WEBTRANSPORT, WEBTRANSPORT)
    assert pair.ada.chat is not None
    typing = encode_datagram(f.Typing(pair.ada.chat.id, True))
    await pair.ada.link.send(Lane.DATAGRAM, typing.ljust(DATAGRAM_BYTES_MAX + 1, b"\0"))
    await pair.ada.link.send(Lane.DATAGRAM, typing[:-1] + b"\2")
    await pair.ada.send("after it")
    await pair.bix.push(f.Message)
    assert not pair.bix.has_push(f.MemberTyping)
    # Up to the bound, extra bytes of a datagram come from a newer peer.
    await pair.ada.link.send(Lane.DATAGRAM, typing.ljust(DATAGRAM_BYTES_MAX, b"\0"))
    assert (await pair.bix.push(f.MemberTyping)).is_typing


# Features of only one transport.


async def test_a_text_message_on_a_websocket(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBSOCKET)
    assert isinstance(mallory.link, WebSocketLink)
    await mallory.link.socket.send("hello")
    assert (await mallory.expect(f.Bye)).code == CloseCode.BAD_FRAME
    assert await mallory.end() == CloseCode.BAD_FRAME


async def test_the_longest_websocket_message_is_taken_and_a_longer_one_is_not(
    people: People,
) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBSOCKET)
    nine = [b"\xfd" + number.to_bytes(8, "little") for number in (UNKNOWN, FRAME_BYTES_MAX)]
    longest = b"".join(nine) + bytes(FRAME_BYTES_MAX)
    assert len(longest) == 65_554
    await mallory.write(longest)
    assert await mallory.is_served()
    await mallory.write(longest + b"\0")
    assert (await mallory.bye()).code == CloseCode.FRAME_TOO_LARGE


async def test_the_same_bound_holds_in_pieces_of_a_websocket_message(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBSOCKET)
    assert isinstance(mallory.link, WebSocketLink)
    await mallory.link.socket.send([encode(f.Ping(1)) * 10_000] * 3)
    assert (await mallory.bye()).code == CloseCode.FRAME_TOO_LARGE


async def test_websocket_pings_mean_nothing(people: People) -> None:
    mallory = await Mallory.open(await people.person(), WEBSOCKET)
    assert isinstance(mallory.link, WebSocketLink)
    await (await mallory.link.socket.ping())
    await mallory.say(mallory.hello())
    await mallory.expect(f.Welcome)


@pytest.mark.parametrize("end", [WebTransportLink.finish, WebTransportLink.reset])
async def test_the_end_of_the_live_lane_ends_the_connection(people: People, end: LaneEnd) -> None:
    pair = await people.pair(WEBTRANSPORT, WEBSOCKET)
    assert isinstance(pair.ada.link, WebTransportLink)
    await end(pair.ada.link, Lane.LIVE)
    assert (await pair.bix.push(f.Seat)).state == f.SeatState.HELD
    await pair.ada.closed()


async def test_the_session_is_closed_with_the_number_of_the_bye(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    assert isinstance(mallory.link, WebTransportLink)
    await mallory.write(b"\xff" * 10)
    assert (await mallory.bye()).code == CloseCode.BAD_FRAME
    # Nothing else may end the connection before this, or a page reads "connection lost".
    assert await mallory.end() == CloseCode.BAD_FRAME
    assert mallory.link.close_capsule() == (CloseCode.BAD_FRAME, "BAD_FRAME")


async def test_another_path_and_another_certificate(people: People) -> None:
    admission = await (await people.person()).account.connect()
    assert admission.webtransport is not None
    with pytest.raises(Refused, match="404"):
        await WebTransportLink.open(f"{admission.webtransport}/x", admission.certificate_hash)
    with pytest.raises(Refused, match="certificate"):
        await WebTransportLink.open(admission.webtransport, "A" * 43 + "=")


# Floods.


@each_transport
async def test_a_flood_of_frames(people: People, transport: str) -> None:
    mallory = await Mallory.welcomed(await people.person(), transport)
    for _ in range(10):
        await mallory.write(encode(f.Typing(uuid4(), True)) * 1_000)
    assert (await mallory.bye()).code == CloseCode.FLOODING


@each_transport
async def test_a_flood_of_pings(people: People, transport: str) -> None:
    mallory = await Mallory.welcomed(await people.person(), transport)
    for _ in range(3):
        await mallory.write(encode(f.Ping(1)) * 1_000)
    assert (await mallory.bye()).code == CloseCode.FLOODING


async def test_a_flood_of_the_pings_of_a_websocket(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBSOCKET)
    assert isinstance(mallory.link, WebSocketLink)
    with suppress(ConnectionClosed):
        for _ in range(3_000):
            await mallory.link.socket.ping()
    assert (await mallory.bye()).code == CloseCode.FLOODING


async def test_a_flood_of_datagrams_is_dropped_and_ends_nothing(people: People) -> None:
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    for _ in range(6_000):
        await mallory.write(b"\x00", Lane.DATAGRAM)
    assert await mallory.is_served()


@each_transport
async def test_too_many_requests_are_told_to_wait(people: People, transport: str) -> None:
    mallory = await Mallory.welcomed(await people.person(), transport)
    chat = uuid4()
    await mallory.say(*(f.Leave(request, chat) for request in range(400)))
    fails = [await mallory.expect(f.Fail) for _ in range(400)]
    assert [fail.request for fail in fails] == list(range(400))
    limited = [fail for fail in fails if fail.code == f.ErrorCode.RATE_LIMITED]
    assert limited
    assert all(fail.retry_after_ms > 0 for fail in limited)
    assert {fail.code for fail in fails} == {
        f.ErrorCode.CHAT_UNKNOWN,
        f.ErrorCode.RATE_LIMITED,
    }
    assert await mallory.is_served()
