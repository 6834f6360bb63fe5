"""Random bytes on every lane. The expected cost is computed here, from the specification alone."""

import random
from enum import Enum
from uuid import UUID

import pytest

from nowrong_client import frames as f
from nowrong_client.codec import Malformed, Reader, varint
from nowrong_client.envelope import Decoder, Raw, TooLarge, decode_datagram, encode, envelope
from nowrong_client.frames import FRAMES, CloseCode, Frame, Lane, Sender

from .mallory import Mallory
from .people import WEBSOCKET, WEBTRANSPORT, People

SEEDS = [1, 2, 3]
CASES = 40
"""Connections for each seed, transport and lane."""

HELLO_BYTES_MAX = 4_096

CHAT = UUID(int=7)

GOOD: list[Frame] = [
    f.Hello(f.VersionRange(1, 1), "c0nnect-t0ken", "noise/1", (f.Resume(CHAT, f.START),)),
    f.Ping(300),
    f.Pong(1),
    f.Bye(CloseCode.CLIENT_LEFT, 0, "bye"),
    f.Join(1, "music", ("jazz", "città")),
    f.Cancel(2, CHAT),
    f.Send(3, CHAT, CHAT, f.Position(1, 2), f.Body.of_text("hello")),
    f.Delivered(CHAT, f.Position(1, 70_000)),
    f.Delete(4, CHAT, f.Position(1, 1)),
    f.Leave(5, CHAT),
    f.History(6, CHAT, f.Position(2, 1), 50),
    f.Typing(CHAT, True),
    f.Presence(CHAT, f.PresenceState.AWAY),
    f.Ack(7, f.Position(1, 1), 1_795_348_800_000),
]
"""Frames to damage."""


def noise(numbers: random.Random) -> bytes:
    """Bytes that are bad in some way."""
    kind = numbers.randrange(6)
    if kind == 0:
        return numbers.randbytes(numbers.randrange(1, 200))
    if kind == 1:
        return b"".join(frame_of_noise(numbers) for _ in range(numbers.randrange(1, 4)))
    if kind == 2:
        return varint(numbers.choice([*FRAMES, 9_999])) + varint(numbers.randrange(1 << 40))
    damaged = bytearray(encode(numbers.choice(GOOD)))
    damaged[numbers.randrange(len(damaged))] = numbers.randrange(256)
    return bytes(damaged[: numbers.randrange(1, 60)])


def frame_of_noise(numbers: random.Random) -> bytes:
    """A whole frame of a known type, with any body."""
    return envelope(numbers.choice(list(FRAMES)), numbers.randbytes(numbers.randrange(60)))


class Still(Enum):
    """The states that bytes can lead to without costing a code."""

    SERVED = "all frames were whole, and good or unknown"
    INSIDE = "the lane stands inside a frame"
    LEFT = "the client said Bye"


class Mistake(Exception):
    """A frame that costs a code."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code)
        self.code = code


def judge(data: bytes, transport: str, lane: Lane, *, is_greeted: bool) -> CloseCode | Still:
    """The cost of these bytes: SPEC §6."""
    decoder = Decoder() if is_greeted else Decoder(HELLO_BYTES_MAX)
    decoder.feed(data)
    try:
        while (raw := decoder.next()) is not None:
            if not is_greeted:
                judge_first(raw)
            elif is_bye(raw, lane):
                return Still.LEFT
        if decoder.is_partial and transport == WEBSOCKET:
            return CloseCode.BAD_FRAME
    except TooLarge:
        return CloseCode.FRAME_TOO_LARGE
    except Malformed:
        return CloseCode.BAD_FRAME
    except Mistake as mistake:
        return mistake.code
    return Still.INSIDE if decoder.is_partial else Still.SERVED


def is_bye(raw: Raw, lane: Lane) -> bool:
    """Judges a frame after `Welcome`: type and phase, then lane, then body."""
    kind = FRAMES.get(raw.number)
    if kind is None:
        return False
    if kind.sender == Sender.SERVER or kind is f.Hello:
        raise Mistake(CloseCode.OUT_OF_PHASE)
    if lane == Lane.BULK and kind.lane != Lane.BULK:
        raise Mistake(CloseCode.WRONG_LANE)
    return isinstance(raw.decode(), f.Bye)


def judge_first(raw: Raw) -> None:
    """Judges the first frame; there is no noise with a good token."""
    if raw.number != f.Hello.number:
        raise Mistake(CloseCode.OUT_OF_PHASE)
    versions = f.VersionRange.codec.read(Reader(raw.body))
    if not versions.min <= 1 <= versions.max:
        raise Mistake(CloseCode.VERSION_UNSUPPORTED)
    hello = raw.decode()
    assert isinstance(hello, f.Hello)
    token, agent, chats = hello.connect_token, hello.agent.encode(), hello.resume
    is_within_bounds = token.isascii() and len(token) <= 128 and len(agent) <= 64
    is_each_once = len({resume.chat for resume in chats}) == len(chats) <= 4
    good = is_within_bounds and is_each_once
    raise Mistake(CloseCode.TOKEN_REFUSED if good else CloseCode.BAD_FRAME)


async def check(mallory: Mallory, data: bytes, cost: CloseCode | Still) -> None:
    """Whether the server sees it the same way."""
    if isinstance(cost, CloseCode):
        assert (await mallory.bye()).code == cost, data.hex()
    elif cost == Still.SERVED:
        assert await mallory.is_served(), data.hex()
    await mallory.link.close()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("transport", [WEBTRANSPORT, WEBSOCKET])
async def test_noise_before_hello(people: People, transport: str, seed: int) -> None:
    person, numbers = await people.person(), random.Random(seed)
    for _ in range(CASES):
        data = noise(numbers)
        cost = judge(data, transport, Lane.LIVE, is_greeted=False)
        mallory = await Mallory.open(person, transport)
        await mallory.write(data)
        await check(mallory, data, cost)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("transport", "lane"),
    [(WEBTRANSPORT, Lane.LIVE), (WEBTRANSPORT, Lane.BULK), (WEBSOCKET, Lane.LIVE)],
)
async def test_noise_after_welcome(people: People, transport: str, lane: Lane, seed: int) -> None:
    person, numbers = await people.person(), random.Random(seed)
    for _ in range(CASES):
        data = noise(numbers)
        cost = judge(data, transport, lane, is_greeted=True)
        mallory = await Mallory.welcomed(person, transport)
        await mallory.write(data, lane)
        await check(mallory, data, cost)


@pytest.mark.parametrize("seed", SEEDS)
async def test_noise_in_datagrams_costs_nothing(people: People, seed: int) -> None:
    numbers = random.Random(seed)
    mallory = await Mallory.welcomed(await people.person(), WEBTRANSPORT)
    taken = len(encode(mallory.hello()))
    for _ in range(CASES * 5):
        data = noise(numbers)[:1_000]
        frame = decode_datagram(data)
        # Bytes of a copy that continue the lane cost the same as on the lane.
        if not (isinstance(frame, f.LaneCopy) and frame.offset <= taken):
            await mallory.write(data, Lane.DATAGRAM)
    assert await mallory.is_served()
