"""Every frame, record, enum and code: SPEC §7 and §11, in their order.

`test_spec.py` compares each table of SPEC.md with these classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Annotated, ClassVar, TypeVar, dataclass_transform
from uuid import UUID

from .codec import (
    U8,
    U16,
    U32,
    U64,
    Blob,
    Byte,
    Framed,
    Id,
    Named,
    Number,
    Reader,
    Value,
    record,
    utf8,
)

Octets = bytes
"""For a field that is itself called `bytes`."""


class Sender(StrEnum):
    """Who may send a frame."""

    CLIENT = "client"
    SERVER = "server"
    BOTH = "both"


class Lane(StrEnum):
    """Where a frame belongs, and where bytes came in."""

    LIVE = "live"
    BULK = "bulk"
    DATAGRAM = "datagram"


class Stage(IntEnum):
    """Which partners a ticket accepts."""

    INTERESTS = 0
    LANGUAGE = 1
    CATEGORY = 2
    ANYONE = 3


class SeatState(IntEnum):
    """Whether a member is there."""

    TAKEN = 1
    HELD = 2
    FREE = 3


class EndReason(IntEnum):
    """Why a chat ended."""

    LEFT = 1
    GONE = 2
    IDLE = 3
    EXPIRED = 4


class PresenceState(IntEnum):
    """Whether a person is looking at the chat."""

    ACTIVE = 1
    AWAY = 2


class CloseCode(IntEnum):
    """Why a connection ended."""

    GOING_AWAY = 4000
    SLOW = 4001
    IDLE = 4002
    HELLO_LATE = 4003
    FRAME_LATE = 4004
    TOKEN_REFUSED = 4005
    OVERLOADED = 4006
    INTERNAL = 4007
    RESUME = 4008
    CLIENT_LEFT = 4500
    BAD_FRAME = 4501
    FRAME_TOO_LARGE = 4502
    OUT_OF_PHASE = 4503
    WRONG_LANE = 4504
    VERSION_UNSUPPORTED = 4505
    ORIGIN_REFUSED = 4506
    REPLACED = 4507
    ACCOUNT_GONE = 4508
    TOO_MANY_UNKNOWN = 4509
    FLOODING = 4510


def is_reconnect(code: int) -> bool:
    """Whether a client may connect again by itself after this close code; unknown ones included."""
    return 4000 <= code < 4500


class ErrorCode(IntEnum):
    """Why a request failed."""

    INVALID = 100
    CHAT_UNKNOWN = 101
    CHAT_ENDED = 102
    TEXT_EMPTY = 103
    TEXT_TOO_LONG = 104
    BODY_UNKNOWN = 105
    ALREADY_IN_CHAT = 106
    ALREADY_QUEUED = 107
    TICKET_UNKNOWN = 108
    CATEGORY_UNKNOWN = 109
    AGE_BRACKET = 110
    MESSAGE_UNKNOWN = 111
    MESSAGE_NOT_YOURS = 112
    CHAT_FULL = 113
    NAME_TAKEN = 200
    UNAUTHENTICATED = 201
    REFRESH_REFUSED = 202
    NOT_FOUND = 203
    METHOD_NOT_ALLOWED = 204
    BODY_TOO_LARGE = 205
    UNSUPPORTED_MEDIA_TYPE = 206
    ORIGIN_REFUSED = 207
    PROOF_NEEDED = 208
    RATE_LIMITED = 500
    STORAGE_UNAVAILABLE = 501
    DRAINING = 502
    INTERNAL = 503
    OVERLOADED = 504


AStage = Annotated[int, Named(Stage, Byte())]
ASeatState = Annotated[int, Named(SeatState, Byte())]
AnEndReason = Annotated[int, Named(EndReason, Byte())]
APresenceState = Annotated[int, Named(PresenceState, Byte())]
ACloseCode = Annotated[int, Named(CloseCode, Number(16))]
AnErrorCode = Annotated[int, Named(ErrorCode, Number(16))]

ConnectionId = Annotated[UUID, Id("ConnectionId")]
TicketId = Annotated[UUID, Id("TicketId")]
ChatId = Annotated[UUID, Id("ChatId")]
ClientMessageId = Annotated[UUID, Id("ClientMessageId")]


class BodyCodec:
    """`Body`: a kind, then bytes; kind 0 has none, kind 1 has UTF-8."""

    name = "Body"

    def write(self, value: Body) -> bytes:
        return Number(32).write(value.kind) + Blob().write(value.data)

    def read(self, reader: Reader) -> Body:
        kind, data = reader.varint(32), Blob().read(reader)
        if kind == Body.TEXT:
            utf8(data)
        return Body(kind, b"" if kind == Body.DELETED else data)


@dataclass(frozen=True, slots=True)
class Body:
    """What a message says. Kinds over 1 come from a newer version: kept, not understood."""

    kind: int
    data: bytes = field(repr=False)

    DELETED: ClassVar[int] = 0
    TEXT: ClassVar[int] = 1
    codec: ClassVar[BodyCodec] = BodyCodec()

    @classmethod
    def of_text(cls, text: str) -> Body:
        """A plain text."""
        return cls(cls.TEXT, text.encode())

    @property
    def text(self) -> str | None:
        """The text; `None` when it is deleted or of an unknown kind."""
        return self.data.decode() if self.kind == Body.TEXT else None


@record
class Position(Value):
    """Where a message stands in its chat; orders by epoch, then by seq."""

    epoch: U32
    seq: U64

    def __lt__(self, other: Position) -> bool:
        return (self.epoch, self.seq) < (other.epoch, other.seq)

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"


START = Position(0, 0)
"""Before the first message."""


@record
class VersionRange(Value):
    """The versions a client speaks, both ends included."""

    min: U16
    max: U16


@record
class Resume(Value):
    """A chat that a client resumes."""

    chat: ChatId
    position: Position


@record
class Limits(Value):
    """The limits that a server enforces on its clients."""

    frame_bytes_max: U32
    text_bytes_max: U32
    text_graphemes_max: U32
    ping_interval_ms: U32
    idle_timeout_ms: U32
    seat_hold_ms: U32


@record
class Endpoint(Value):
    """The addresses of a node."""

    webtransport: str
    websocket: str


@record
class TicketState(Value):
    """A user's place in a queue."""

    ticket: TicketId
    category: str
    interests: tuple[str, ...]
    since_ms: U64
    stage: AStage
    waiting: U32


@record
class Member(Value):
    """One member of a chat."""

    name: str
    language: str
    seat: ASeatState
    held_until_ms: U64
    delivered: Position
    read: Position


@record
class Why(Value):
    """Why two people were matched."""

    shared_interests: tuple[str, ...]
    is_same_language: bool


@record
class ChatState(Value):
    """A chat as one of its members sees it."""

    chat: ChatId
    category: str
    members: tuple[Annotated[Member, Framed], ...]
    you: U8
    why: Annotated[Why, Framed]
    head: Position
    resumed: Position
    unread: U32
    started_at_ms: U64
    expires_at_ms: U64


class Frame(Value):
    """One unit of the protocol: a type number and a body."""

    number: ClassVar[int]
    sender: ClassVar[Sender]
    lane: ClassVar[Lane]


FRAMES: dict[int, type[Frame]] = {}
"""Every frame by its number."""

F = TypeVar("F", bound=Frame)


@dataclass_transform(frozen_default=True)
def frame(number: int, sender: Sender, lane: Lane) -> Callable[[type[F]], type[F]]:
    """Names a frame's number, sender and lane, and lists it in `FRAMES`."""

    def name(cls: type[F]) -> type[F]:
        cls = record(cls)
        cls.number, cls.sender, cls.lane = number, sender, lane
        FRAMES[number] = cls
        return cls

    return name


@frame(1, Sender.CLIENT, Lane.LIVE)
class Hello(Frame):
    """The first frame of a connection."""

    versions: VersionRange
    connect_token: str
    agent: str
    resume: tuple[Resume, ...]


@frame(2, Sender.SERVER, Lane.LIVE)
class Welcome(Frame):
    """The answer to a good `Hello`."""

    version: U16
    connection: ConnectionId
    server_time_ms: U64
    limits: Annotated[Limits, Framed]
    ticket: Annotated[TicketState, Framed] | None
    chat: Annotated[ChatState, Framed] | None


@frame(3, Sender.BOTH, Lane.LIVE)
class Bye(Frame):
    """The last frame of a connection."""

    code: ACloseCode
    retry_after_ms: U32
    reason: str


@frame(4, Sender.SERVER, Lane.LIVE)
class GoAway(Frame):
    """The server will close soon."""

    retry_after_ms: U32
    endpoint: Annotated[Endpoint, Framed] | None


@frame(5, Sender.BOTH, Lane.LIVE)
class Ping(Frame):
    """Asks for a `Pong` with the same nonce."""

    nonce: U32


@frame(6, Sender.BOTH, Lane.LIVE)
class Pong(Frame):
    """The reply to a `Ping`."""

    nonce: U32


@frame(7, Sender.SERVER, Lane.LIVE)
class Done(Frame):
    """Reply: the request was carried out."""

    request: U32


@frame(8, Sender.SERVER, Lane.LIVE)
class Fail(Frame):
    """Reply: the request failed and changed nothing."""

    request: U32
    code: AnErrorCode
    retry_after_ms: U32
    detail: str


@frame(9, Sender.BOTH, Lane.DATAGRAM)
class LaneCopy(Frame):
    """Bytes of the live lane, once more."""

    offset: U64
    bytes: Octets


@frame(16, Sender.CLIENT, Lane.LIVE)
class Join(Frame):
    """Request: wait for a partner in a category."""

    request: U32
    category: str
    interests: tuple[str, ...]


@frame(17, Sender.SERVER, Lane.LIVE)
class Queued(Frame):
    """Reply to `Join` and `Next`: the user is waiting in the queue."""

    request: U32
    ticket: Annotated[TicketState, Framed]


@frame(18, Sender.CLIENT, Lane.LIVE)
class Cancel(Frame):
    """Request: stop waiting."""

    request: U32
    ticket: TicketId


@frame(19, Sender.SERVER, Lane.LIVE)
class Widened(Frame):
    """Push: the ticket accepts more people now."""

    ticket: TicketId
    stage: AStage


@frame(20, Sender.SERVER, Lane.LIVE)
class Matched(Frame):
    """Push: a partner was found, and the chat is open."""

    ticket: TicketId
    chat: Annotated[ChatState, Framed]


@frame(21, Sender.SERVER, Lane.LIVE)
class TicketEnded(Frame):
    """Push: the ticket ended without a match."""

    ticket: TicketId
    code: AnErrorCode


@frame(32, Sender.CLIENT, Lane.LIVE)
class Send(Frame):
    """Request: send a message."""

    request: U32
    chat: ChatId
    client_message_id: ClientMessageId
    reply_to: Position | None
    body: Body


@frame(33, Sender.SERVER, Lane.LIVE)
class Ack(Frame):
    """Reply to `Send`: the message is durable."""

    request: U32
    position: Position
    at_ms: U64


@frame(34, Sender.SERVER, Lane.LIVE)
class Message(Frame):
    """Push: a message of the chat, in ascending position."""

    chat: ChatId
    position: Position
    member: U8
    client_message_id: ClientMessageId
    at_ms: U64
    reply_to: Position | None
    body: Body


@frame(35, Sender.CLIENT, Lane.LIVE)
class Delivered(Frame):
    """Cursor: everything up to here has reached the client."""

    chat: ChatId
    position: Position


@frame(36, Sender.CLIENT, Lane.LIVE)
class Read(Frame):
    """Cursor: everything up to here was read."""

    chat: ChatId
    position: Position


@frame(37, Sender.CLIENT, Lane.LIVE)
class Delete(Frame):
    """Request: delete one's own message for all members."""

    request: U32
    chat: ChatId
    position: Position


@frame(38, Sender.SERVER, Lane.LIVE)
class Deleted(Frame):
    """Push: a message was deleted."""

    chat: ChatId
    position: Position


@frame(39, Sender.CLIENT, Lane.LIVE)
class Leave(Frame):
    """Request: end the chat."""

    request: U32
    chat: ChatId


@frame(40, Sender.CLIENT, Lane.LIVE)
class Next(Frame):
    """Request: end the chat and wait for another partner."""

    request: U32
    chat: ChatId


@frame(41, Sender.CLIENT, Lane.LIVE)
class Block(Frame):
    """Request: end the chat and never meet this partner again."""

    request: U32
    chat: ChatId


@frame(42, Sender.SERVER, Lane.LIVE)
class Ended(Frame):
    """Push: the chat has ended."""

    chat: ChatId
    reason: AnEndReason
    member: U8 | None
    expires_at_ms: U64


@frame(43, Sender.SERVER, Lane.LIVE)
class Seat(Frame):
    """Push: a member's seat changed."""

    chat: ChatId
    member: U8
    state: ASeatState
    held_until_ms: U64


@frame(44, Sender.SERVER, Lane.LIVE)
class Idle(Frame):
    """Push: no member has said anything for a while."""

    chat: ChatId
    ends_at_ms: U64


@frame(45, Sender.SERVER, Lane.LIVE)
class Gone(Frame):
    """Push: this chat cannot be resumed."""

    chat: ChatId


@frame(64, Sender.CLIENT, Lane.BULK)
class History(Frame):
    """Request: return messages before a position."""

    request: U32
    chat: ChatId
    before: Position | None
    limit: U16


@frame(65, Sender.SERVER, Lane.BULK)
class Page(Frame):
    """Reply to `History`, in ascending position."""

    request: U32
    messages: tuple[Annotated[Message, Framed], ...]
    has_more: bool


@frame(80, Sender.CLIENT, Lane.DATAGRAM)
class Typing(Frame):
    """I am typing, or I stopped."""

    chat: ChatId
    is_typing: bool


@frame(81, Sender.SERVER, Lane.DATAGRAM)
class MemberTyping(Frame):
    """A member is typing, or stopped."""

    chat: ChatId
    member: U8
    is_typing: bool


@frame(82, Sender.CLIENT, Lane.DATAGRAM)
class Presence(Frame):
    """I am looking at the chat, or I have turned away."""

    chat: ChatId
    state: APresenceState


@frame(83, Sender.SERVER, Lane.DATAGRAM)
class MemberPresence(Frame):
    """A member is looking at the chat, or has turned away."""

    chat: ChatId
    member: U8
    state: APresenceState


@frame(84, Sender.SERVER, Lane.DATAGRAM)
class ReadCursor(Frame):
    """How far a member has received and read."""

    chat: ChatId
    member: U8
    delivered: Position
    read: Position
