"""The end of a server, and chats that end by themselves; each test has its own server."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from nowrong_client import frames as f
from nowrong_client.frames import CloseCode, EndReason, SeatState

from .people import TRANSPORTS, WEBSOCKET, WEBTRANSPORT, People
from .server import Server


async def test_a_stop_is_announced_and_clean(folder: Path) -> None:
    with Server(folder, data=str(folder / "data")) as server:
        async with AsyncExitStack() as stack:
            people = People(server.http, stack)
            pair = await people.pair(WEBTRANSPORT, WEBSOCKET)
            await pair.ada.send("before it")
            server.terminate()
            for talk in (pair.ada, pair.bix):
                goaway = await talk.push(f.GoAway)
                assert goaway.retry_after_ms <= 10_000
                end = await talk.closed()
                assert end.bye is not None
                assert end.bye.code == CloseCode.GOING_AWAY
                assert f.is_reconnect(end.bye.code)
        assert server.wait() == 0


async def test_a_draining_server_carries_on_with_those_that_are_here(folder: Path) -> None:
    with Server(folder, data=str(folder / "data"), drain="10s") as server:
        async with AsyncExitStack() as stack:
            people = People(server.http, stack)
            pair = await people.pair(WEBTRANSPORT, WEBSOCKET)
            server.terminate()
            await pair.ada.push(f.GoAway)
            await pair.ada.send("still")
            assert (await pair.bix.push(f.Message)).body.text == "still"
            await pair.ada.close()
            await pair.bix.close()
        assert server.wait() == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_silence_ends_a_chat_after_a_notice(folder: Path, transport: str) -> None:
    with Server(folder, idle_notice="1s", idle_end="3s") as server:
        async with AsyncExitStack() as stack:
            people = People(server.http, stack)
            pair = await people.pair(transport, transport)
            assert (await pair.bix.push(f.Idle)).ends_at_ms > 0
            await pair.ada.send("I am here")
            assert (await pair.bix.push(f.Idle)).ends_at_ms == 0
            assert (await pair.bix.push(f.Idle)).ends_at_ms > 0
            ended = await pair.bix.push(f.Ended)
            assert (ended.reason, ended.member) == (EndReason.IDLE, None)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_partner_who_stays_away_ends_the_chat(folder: Path, transport: str) -> None:
    with Server(folder, seat_hold="1s") as server:
        async with AsyncExitStack() as stack:
            people = People(server.http, stack)
            pair = await people.pair(transport, transport)
            assert pair.ada.welcome.limits.seat_hold_ms == 1_000
            await pair.ada.close()
            assert (await pair.bix.push(f.Seat)).state == SeatState.HELD
            ended = await pair.bix.push(f.Ended)
            assert pair.ada.chat is not None
            assert (ended.reason, ended.member) == (EndReason.GONE, pair.ada.chat.state.you)
