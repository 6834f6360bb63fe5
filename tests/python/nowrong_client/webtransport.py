"""WebTransport links: SPEC §3, on aioquic.

The streams of the two lanes never pass through aioquic's HTTP/3 parser, which would read the
server's bytes on a stream that the client opened as HTTP frames. Our own streams are known by their
ids, and their bytes are those of the lane.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
from urllib.parse import SplitResult, urlsplit

from aioquic._buffer import Buffer
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DatagramReceived, DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from cryptography.hazmat.primitives.serialization import Encoding

from .frames import Lane
from .link import LinkClosed

OPEN_TIMEOUT = 10.0
"""Seconds for the QUIC handshake, the HTTP/3 settings and the CONNECT request together."""

RECEIVED_MAX = 4_096
"""How many pieces may wait to be taken; with more, the link counts as lost."""


CLOSE_WEBTRANSPORT_SESSION = 0x2843
"""Type of the capsule that closes a session."""

CLOSED_CRITICAL_STREAM = 0x104
"""The error code for closing the control or QPACK streams (RFC 9114, 6.2.1)."""

UNIDIRECTIONAL = 0x2
"""The bit of a stream id that marks a unidirectional stream (RFC 9000, 2.1)."""


class Refused(ConnectionError):
    """There was no session: another certificate, or a status that is not 200."""


class Session(QuicConnectionProtocol):
    """One QUIC connection with one WebTransport session."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.http = H3Connection(quic, enable_webtransport=True)
        self.news = asyncio.Event()
        self.session: int | None = None
        self.status: bytes | None = None
        self.capsules = b""
        self.lanes: dict[int, Lane] = {}
        self.received: asyncio.Queue[tuple[Lane, bytes]] = asyncio.Queue(RECEIVED_MAX)
        self.end: LinkClosed | None = None
        self.is_silent = False

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            self.lose(event.error_code)
        elif isinstance(event, StreamDataReceived) and event.stream_id in self.lanes:
            self.take(self.lanes[event.stream_id], event.data)
            if event.end_stream and self.lanes[event.stream_id] == Lane.LIVE:
                self.lose(None)
        elif isinstance(event, StreamReset | StopSendingReceived) and event.stream_id in self.lanes:
            self.lose(None)
        elif isinstance(event, StopSendingReceived) and event.stream_id & UNIDIRECTIONAL:
            self.lose(CLOSED_CRITICAL_STREAM)
        else:
            for http_event in self.http.handle_event(event):
                self.http_event_received(http_event)
        self.news.set()

    def http_event_received(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived) and event.stream_id == self.session:
            self.status = dict(event.headers).get(b":status")
        elif isinstance(event, DataReceived) and event.stream_id == self.session:
            self.capsules += event.data
            if event.stream_ended:
                # A browser does the same, since it knows that the session is over.
                self._quic.send_stream_data(event.stream_id, b"", end_stream=True)
        elif isinstance(event, DatagramReceived) and event.stream_id == self.session:
            self.take(Lane.DATAGRAM, event.data)

    def take(self, lane: Lane, data: bytes) -> None:
        """Keeps an event until it is received."""
        if data and self.end is None:
            try:
                self.received.put_nowait((lane, data))
            except asyncio.QueueFull:
                self.lose(None)

    def lose(self, code: int | None) -> None:
        """Remembers why the link ended; only the transport's own code is informative."""
        if self.end is None or self.end.code is None:
            self.end = LinkClosed(code)

    async def until_settings(self) -> None:
        """Waits for the server's HTTP/3 settings: no session may be requested before them."""
        while self.http.received_settings is None:
            await self.something()

    async def until_status(self) -> bytes:
        """Waits for the answer to the CONNECT request."""
        while self.status is None:
            await self.something()
        return self.status

    async def something(self) -> None:
        """Waits for the next event; raises `LinkClosed` when the link is gone."""
        if self.end is not None:
            raise self.end
        self.news.clear()
        await self.news.wait()

    async def shut(self) -> None:
        """Closes the connection and its socket."""
        if not self.is_silent:
            self.close()
            await self.wait_closed()
            self.silence()

    def silence(self) -> None:
        """Closes the socket without telling the server."""
        self.is_silent = True
        assert self._transport is not None, "sockets come before sessions"
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
        self.lose(None)
        self.news.set()

    def transmit(self) -> None:
        if not self.is_silent:
            super().transmit()

    def certificate_hash(self) -> str:
        """SHA-256 of the server's certificate in base64."""
        certificate = self._quic.tls._peer_certificate
        assert certificate is not None, "the handshake is complete"
        return base64.b64encode(
            hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
        ).decode()

    def request(self, url: SplitResult, origin: str | None) -> None:
        """Requests the session: an extended CONNECT (RFC 9220)."""
        headers = [
            (b":method", b"CONNECT"),
            (b":scheme", b"https"),
            (b":authority", url.netloc.encode()),
            (b":path", url.path.encode()),
            (b":protocol", b"webtransport"),
            (b"sec-webtransport-http3-draft02", b"1"),
        ]
        if origin is not None:
            headers.append((b"origin", origin.encode()))
        self.session = self._quic.get_next_available_stream_id()
        self.http.send_headers(self.session, headers)
        self.transmit()


class WebTransportLink:
    """One WebTransport session: live lane, bulk lane and datagrams."""

    has_lanes = True

    def __init__(self, session: Session) -> None:
        self.session = session
        self.streams: dict[Lane, int] = {}

    @classmethod
    async def open(
        cls, url: str, certificate_hash: str | None, origin: str | None = None
    ) -> WebTransportLink:
        """Connects to a server with exactly this certificate; `None` means one signed by a public
        authority."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        session = await dial(parts.hostname, parts.port, certificate_hash is not None)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await session.wait_connected()
                if certificate_hash not in (None, session.certificate_hash()):
                    raise Refused("the server has another certificate")
                await session.until_settings()
                session.request(parts, origin)
                status = await session.until_status()
                if status != b"200":
                    raise Refused(f"status {status.decode()}")
        except BaseException:
            session.silence()
            raise
        return cls(session)

    async def send(self, lane: Lane, data: bytes) -> None:
        """Writes to a lane; the first bytes open its stream."""
        self._check()
        quic, session = self.session._quic, self.session.session
        assert session is not None
        if lane == Lane.DATAGRAM:
            self.session.http.send_datagram(session, data)
        else:
            if lane not in self.streams:
                self.streams[lane] = self.session.http.create_webtransport_stream(session)
                self.session.lanes[self.streams[lane]] = lane
            quic.send_stream_data(self.streams[lane], data)
        self.session.transmit()

    async def receive(self) -> tuple[Lane, bytes]:
        while self.session.received.empty():
            await self.session.something()
        return self.session.received.get_nowait()

    async def finish(self, lane: Lane) -> None:
        """Ends a lane in this direction."""
        self.session._quic.send_stream_data(self.streams[lane], b"", end_stream=True)
        self.session.transmit()

    async def reset(self, lane: Lane) -> None:
        """Resets a lane in this direction."""
        self.session._quic.reset_stream(self.streams[lane], 0)
        self.session.transmit()

    def close_capsule(self) -> tuple[int, str] | None:
        """The code and the reason with which the server closed the session, if it gave them."""
        capsules = Buffer(data=self.session.capsules)
        while not capsules.eof():
            kind, length = capsules.pull_uint_var(), capsules.pull_uint_var()
            value = capsules.pull_bytes(length)
            if kind == CLOSE_WEBTRANSPORT_SESSION:
                return int.from_bytes(value[:4]), value[4:].decode()
        return None

    async def close(self) -> None:
        await self.session.shut()

    def abort(self) -> None:
        self.session.silence()

    def _check(self) -> None:
        if self.session.end is not None:
            raise self.session.end


async def dial(host: str, port: int, is_pinned: bool) -> Session:
    """Sends the first packet of a QUIC connection from a socket of its own."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, _, _, _, address = infos[0]
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=H3_ALPN,
        server_name=host,
        verify_mode=ssl.CERT_NONE if is_pinned else ssl.CERT_REQUIRED,
        max_datagram_frame_size=65_536,
    )
    any_address = "::" if family == socket.AF_INET6 else "0.0.0.0"
    _, session = await loop.create_datagram_endpoint(
        lambda: Session(QuicConnection(configuration=configuration)),
        local_addr=(any_address, 0),
    )
    session.connect(address)
    return session
