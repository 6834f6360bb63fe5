"""How a WebSocket ends: RFC 6455 §7, SPEC §10."""

import pytest

from nowrong_client.websocket import WebSocketLink

from .people import WEBSOCKET, People


@pytest.mark.parametrize("is_welcomed", [False, True])
async def test_a_close_frame_gets_its_reply(people: People, is_welcomed: bool) -> None:
    person = await people.person()
    if is_welcomed:
        link = (await person.connect(WEBSOCKET)).link
    else:
        link, _ = await person.link(WEBSOCKET)
    assert isinstance(link, WebSocketLink)
    await link.socket.close(1000)
    assert link.socket.close_code == 1000
    assert link.socket.protocol.close_rcvd is not None
    assert link.socket.protocol.close_rcvd.code == 1000
