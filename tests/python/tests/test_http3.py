"""Mistakes in HTTP/3 itself: each ends the connection with its own error, at once, whether or not a
session was requested before."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

import pytest
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, QuicEvent

from nowrong_client.webtransport import WebTransportLink

from .people import WEBTRANSPORT, People

AT_ONCE = 5.0
"""Seconds: less than the ten that a client has for its request."""

CONTROL, PUSH, QPACK_ENCODER = b"\x00", b"\x01", b"\x02"
DATA, HEADERS, SETTINGS = b"\x00\x00", b"\x01\x02\x00\x00", b"\x04\x00"

STREAM_CREATION_ERROR = 0x103
FRAME_UNEXPECTED = 0x105
MISSING_SETTINGS = 0x10A


class Bare(QuicConnectionProtocol):
    """A QUIC connection on which nothing is sent by itself."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.error: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated) and not self.error.done():
            self.error.set_result(event.error_code)

    def silence(self) -> None:
        """Closes the socket."""
        assert self._transport is not None, "it is connected"
        self._transport.close()


async def connect(url: str) -> Bare:
    """A connection to the server, without HTTP/3."""
    parts = urlsplit(url)
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=H3_ALPN,
        verify_mode=ssl.CERT_NONE,
        server_name=parts.hostname,
    )
    loop = asyncio.get_running_loop()
    _, bare = await loop.create_datagram_endpoint(
        lambda: Bare(QuicConnection(configuration=configuration)), local_addr=("127.0.0.1", 0)
    )
    bare.connect(("127.0.0.1", parts.port))
    await bare.wait_connected()
    return bare


async def error_after(people: People, streams: list[bytes]) -> int:
    """The error with which the server ends a connection on which these streams are written."""
    person = await people.person()
    admission = await person.account.connect()
    assert admission.webtransport is not None
    async with asyncio.timeout(AT_ONCE):
        bare = await connect(admission.webtransport)
    for stream in streams:
        stream_id = bare._quic.get_next_available_stream_id(is_unidirectional=True)
        bare._quic.send_stream_data(stream_id, stream)
    bare.transmit()
    try:
        async with asyncio.timeout(AT_ONCE):
            return await bare.error
    finally:
        bare.close()
        await bare.wait_closed()
        bare.silence()


@pytest.mark.parametrize(
    ("streams", "error"),
    [
        pytest.param([CONTROL + DATA], MISSING_SETTINGS, id="no-settings"),
        pytest.param([CONTROL + SETTINGS + SETTINGS], FRAME_UNEXPECTED, id="settings-twice"),
        pytest.param([CONTROL + SETTINGS] * 2, STREAM_CREATION_ERROR, id="control-twice"),
        pytest.param([QPACK_ENCODER] * 2, STREAM_CREATION_ERROR, id="qpack-twice"),
        pytest.param([PUSH], STREAM_CREATION_ERROR, id="push"),
    ],
)
async def test_a_mistake_before_the_request(
    people: People, streams: list[bytes], error: int
) -> None:
    assert await error_after(people, streams) == error


async def test_a_second_header_section_on_the_stream_of_the_session(people: People) -> None:
    person = await people.person()
    link, _ = await person.link(WEBTRANSPORT)
    assert isinstance(link, WebTransportLink)
    session = link.session
    assert session.session is not None
    session._quic.send_stream_data(session.session, HEADERS)
    session.transmit()
    async with asyncio.timeout(AT_ONCE):
        while session.end is None:
            session.news.clear()
            await session.news.wait()
    assert session.end.code == FRAME_UNEXPECTED
