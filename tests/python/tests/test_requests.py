"""Requests that fail: each with the code that the specification names, and without any other
effect."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from nowrong_client import frames as f
from nowrong_client.conversation import Conversation, Failed
from nowrong_client.frames import Body, ErrorCode, Frame
from nowrong_client.rest import Problem

from .people import TRANSPORTS, WEBSOCKET, People

TEXT_BYTES_MAX = 8_000
TEXT_GRAPHEMES_MAX = 2_000

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)

Request = Callable[[int, UUID], Frame]

ABOUT_A_CHAT: dict[str, Request] = {
    "send": lambda request, chat: f.Send(request, chat, uuid4(), None, Body.of_text("hi")),
    "delete": lambda request, chat: f.Delete(request, chat, f.Position(1, 1)),
    "leave": f.Leave,
    "next": f.Next,
    "block": f.Block,
    "history": lambda request, chat: f.History(request, chat, None, 10),
}


async def code_of(talk: Conversation, make: Callable[[int], Frame]) -> int:
    """The code that a request fails with."""
    with pytest.raises(Failed) as failed:
        await talk.request(make)
    return failed.value.code


@each_transport
@pytest.mark.parametrize("name", ABOUT_A_CHAT)
async def test_a_chat_that_is_not_yours(people: People, transport: str, name: str) -> None:
    make = ABOUT_A_CHAT[name]
    pair = await people.pair(WEBSOCKET, WEBSOCKET)
    assert pair.ada.chat is not None
    theirs = pair.ada.chat.id
    await pair.ada.send("private")
    stranger = await (await people.person()).connect(transport)
    chatting = (await people.pair(transport, transport)).ada
    for talk in (stranger, chatting):
        for chat in (theirs, uuid4()):
            code = await code_of(talk, lambda request, chat=chat: make(request, chat))  # type: ignore[misc]
            assert code == ErrorCode.CHAT_UNKNOWN
    # Nothing came of it.
    assert (await pair.bix.history()).messages[0].body.text == "private"
    await pair.bix.send("still here")
    assert not pair.ada.has_push(f.Ended)


@each_transport
async def test_cursors_and_signals_about_a_chat_of_others_say_nothing(
    people: People, transport: str
) -> None:
    pair = await people.pair(WEBSOCKET, WEBSOCKET)
    assert pair.ada.chat is not None
    said = await pair.ada.send("hi")
    stranger = await (await people.person()).connect(transport, pair.ada.chat)
    await stranger.delivered(said.position)
    await stranger.read(said.position)
    await stranger.typing(True)
    await stranger.presence(f.PresenceState.AWAY)
    assert await stranger.ping(1)
    await pair.bix.send("after it")
    await pair.ada.push(f.Message)
    for talk in (pair.ada, pair.bix):
        for signal in (f.MemberTyping, f.MemberPresence, f.ReadCursor):
            assert not talk.has_push(signal)


@each_transport
@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(Body.of_text(""), ErrorCode.TEXT_EMPTY, id="empty"),
        pytest.param(Body.of_text(" \n\t "), ErrorCode.TEXT_EMPTY, id="blank"),
        pytest.param(
            Body.of_text("a" * (TEXT_GRAPHEMES_MAX + 1)),
            ErrorCode.TEXT_TOO_LONG,
            id="graphemes",
        ),
        pytest.param(
            Body.of_text("\N{GRINNING FACE}" * (TEXT_BYTES_MAX // 4) + "a"),
            ErrorCode.TEXT_TOO_LONG,
            id="bytes",
        ),
        pytest.param(Body.of_text("a" * 65_000), ErrorCode.TEXT_TOO_LONG, id="a_whole_frame"),
        pytest.param(Body(Body.DELETED, b""), ErrorCode.BODY_UNKNOWN, id="deleted"),
        pytest.param(Body(2, b"newer"), ErrorCode.BODY_UNKNOWN, id="newer_kind"),
    ],
)
async def test_a_message_that_is_refused(
    people: People, transport: str, body: Body, code: ErrorCode
) -> None:
    pair = await people.pair(transport, transport)
    assert pair.ada.chat is not None
    chat = pair.ada.chat.id
    assert (
        await code_of(pair.ada, lambda request: f.Send(request, chat, uuid4(), None, body)) == code
    )
    # It changed nothing: the next message is the first one.
    assert (await pair.ada.send("fine")).position.seq == 1


@each_transport
@pytest.mark.parametrize("text", ["a" * TEXT_GRAPHEMES_MAX, "\N{GRINNING FACE}" * 2_000])
async def test_the_longest_text(people: People, transport: str, text: str) -> None:
    pair = await people.pair(transport, transport)
    await pair.ada.send(text)
    assert (await pair.bix.push(f.Message)).body.text == text


@each_transport
async def test_a_page_of_the_longest_texts_fits(people: People, transport: str) -> None:
    pair = await people.pair(transport, transport)
    text = "\N{GRINNING FACE}" * 2_000
    for _ in range(20):
        await pair.ada.send(text)
    seqs: list[int] = []
    page = await pair.bix.history()
    while True:
        assert page.messages
        seqs = [message.position.seq for message in page.messages] + seqs
        if not page.has_more:
            break
        page = await pair.bix.history(page.messages[0].position)
    assert seqs == list(range(1, 21))


@each_transport
@pytest.mark.parametrize(
    ("limit", "count"), [(0, 1), (1, 1), (100, 100), (101, 100), (65_535, 100)]
)
async def test_a_page_has_1_to_100_messages(
    people: People, transport: str, limit: int, count: int
) -> None:
    pair = await people.pair(transport, transport)
    await asyncio.gather(*(pair.ada.send(f"{number}") for number in range(102)))
    page = await pair.ada.history(limit=limit)
    assert [message.position.seq for message in page.messages] == list(range(103 - count, 103))
    assert page.has_more


@each_transport
@pytest.mark.parametrize(
    ("category", "interests", "code"),
    [
        pytest.param("no-such-category", (), ErrorCode.CATEGORY_UNKNOWN, id="category"),
        pytest.param("", (), ErrorCode.CATEGORY_UNKNOWN, id="no_category"),
        pytest.param("x" * 65_000, (), ErrorCode.CATEGORY_UNKNOWN, id="long_category"),
        pytest.param("music", tuple("abcdefghijk"), ErrorCode.INVALID, id="eleven_interests"),
        pytest.param("music", ("x" * 65,), ErrorCode.INVALID, id="long_interest"),
    ],
)
async def test_a_join_that_is_refused(
    people: People, transport: str, category: str, interests: tuple[str, ...], code: ErrorCode
) -> None:
    talk = await (await people.person()).connect(transport)
    assert await code_of(talk, lambda request: f.Join(request, category, interests)) == code
    assert not talk.has_push(f.Matched)


@each_transport
async def test_joining_while_in_a_chat(people: People, transport: str) -> None:
    pair = await people.pair(transport, transport)
    code = await code_of(pair.ada, lambda request: f.Join(request, "music", ()))
    assert code == ErrorCode.ALREADY_IN_CHAT


@each_transport
async def test_a_partner_who_left_can_still_be_left_and_blocked(
    people: People, transport: str
) -> None:
    pair = await people.pair(transport, transport)
    said = await pair.ada.send("bye")
    await pair.bix.leave()
    ended = await pair.ada.push(f.Ended)
    await pair.ada.leave()
    await pair.ada.block()
    await pair.ada.delete(said.position)
    assert (await pair.bix.push(f.Deleted)).position == said.position
    for talk in (pair.ada, pair.bix):
        assert (await talk.history()).messages[0].body.kind == Body.DELETED
        assert talk.chat is not None
        assert talk.chat.ended == ended
    # Neither is told twice.
    assert not pair.ada.has_push(f.Ended)


@each_transport
async def test_replying_to_what_is_not_there(people: People, transport: str) -> None:
    pair = await people.pair(transport, transport)
    with pytest.raises(Failed) as failed:
        await pair.ada.send("hm", reply_to=f.Position(1, 5))
    assert failed.value.code == ErrorCode.MESSAGE_UNKNOWN


async def test_connecting_without_a_good_access_token(people: People) -> None:
    person = await people.person()
    person.account.access_token = "nonsense"
    with pytest.raises(Problem) as problem:
        await person.account.connect()
    assert (problem.value.status, problem.value.code) == (401, ErrorCode.UNAUTHENTICATED)


async def test_every_bad_field_is_named(people: People) -> None:
    body = {"name": "x", "language": "not a tag!", "age_bracket": "7", "interests": ["y" * 65]}
    with pytest.raises(Problem) as problem:
        await people.api.call("POST", "/v1/users", body)
    assert problem.value.code == ErrorCode.INVALID
    fields = {error["field"] for error in problem.value.document["errors"]}
    assert {"name", "language", "age_bracket"} <= fields
    assert any(field.startswith("interests") for field in fields)
