"""Values as bytes: SPEC §4 (varint) and §5 (bodies).

A `Codec` writes and reads one type. Nothing here knows a frame, and nothing reserves memory just
because of a length: a value is read from the bytes that exist, or `Malformed` is raised.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import IntEnum
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Protocol,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

T = TypeVar("T")
V = TypeVar("V", bound="Value")


class Malformed(ValueError):
    """Bytes that are not as specified; they cost their sender `BAD_FRAME`."""


class Cut(Malformed):
    """The bytes end inside a value."""


class Reader:
    """Takes values off the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self.at

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > self.left:
            raise Cut(f"{count} bytes wanted, {self.left} left")
        taken = self._data[self.at : self.at + count]
        self.at += count
        return taken

    def varint(self, bits: int) -> int:
        """A varint that is not wider than `bits`, however small its number."""
        first = self.take(1)[0]
        if first < FIRST_MARKER:
            return first
        width = MARKER_BYTES.get(first)
        if width is None:
            raise Malformed(f"marker {first}")
        if width * 8 > bits:
            raise Malformed(f"marker {first} in a number of {bits} bits")
        return int.from_bytes(self.take(width), "little")


FIRST_MARKER = 251
"""Numbers below it are one byte; this byte and those above it say how many bytes follow."""

MARKER_BYTES = {251: 2, 252: 4, 253: 8}
"""Bytes after each marker."""


def varint(number: int) -> bytes:
    """The shortest form of a number."""
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{number} does not fit 64 bits")
    if number < FIRST_MARKER:
        return bytes((number,))
    for marker, width in MARKER_BYTES.items():
        if number < 1 << (8 * width):
            return bytes((marker,)) + number.to_bytes(width, "little")
    raise AssertionError("64 bits are the widest")


class Codec(Protocol[T]):
    """Writes and reads one type. `name` is its name in SPEC."""

    @property
    def name(self) -> str: ...

    def write(self, value: T) -> bytes: ...

    def read(self, reader: Reader) -> T: ...


@dataclasses.dataclass(frozen=True)
class Number:
    """`u16`, `u32`, `u64`: a varint of at most that width."""

    bits: int

    @property
    def name(self) -> str:
        return f"u{self.bits}"

    def write(self, value: int) -> bytes:
        if not 0 <= value < 1 << self.bits:
            raise ValueError(f"{value} is no {self.name}")
        return varint(value)

    def read(self, reader: Reader) -> int:
        return reader.varint(self.bits)


class Byte:
    """`u8`: one byte, never a varint."""

    name = "u8"

    def write(self, value: int) -> bytes:
        return bytes((value,))

    def read(self, reader: Reader) -> int:
        return reader.take(1)[0]


class Flag:
    """`bool`: 0 or 1."""

    name = "bool"

    def write(self, value: bool) -> bytes:
        return bytes((value,))

    def read(self, reader: Reader) -> bool:
        number = reader.take(1)[0]
        if number > 1:
            raise Malformed(f"a bool is 0 or 1, not {number}")
        return number == 1


class Blob:
    """`bytes`: a length, then that many bytes."""

    name = "bytes"

    def write(self, value: bytes) -> bytes:
        return varint(len(value)) + value

    def read(self, reader: Reader) -> bytes:
        return reader.take(reader.varint(64))


class Text:
    """`string`: `bytes` that are UTF-8."""

    name = "string"

    def write(self, value: str) -> bytes:
        return Blob().write(value.encode())

    def read(self, reader: Reader) -> str:
        return utf8(Blob().read(reader))


def utf8(data: bytes) -> str:
    """The bytes as text; raises `Malformed`."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Malformed(str(error)) from error


@dataclasses.dataclass(frozen=True)
class Id:
    """`id`: the 16 bytes of a UUID."""

    of: str = ""

    @property
    def name(self) -> str:
        return f"id ({self.of})"

    def write(self, value: UUID) -> bytes:
        return value.bytes

    def read(self, reader: Reader) -> UUID:
        return UUID(bytes=reader.take(16))


@dataclasses.dataclass(frozen=True)
class Listed(Generic[T]):
    """`list of X`: a count, then that many X."""

    item: Codec[T]

    @property
    def name(self) -> str:
        return f"list of {self.item.name}"

    def write(self, value: tuple[T, ...]) -> bytes:
        return varint(len(value)) + b"".join(self.item.write(item) for item in value)

    def read(self, reader: Reader) -> tuple[T, ...]:
        count = reader.varint(64)
        # Every item takes at least a byte, so the loop ends with the bytes, whatever the count
        # claims.
        if count > reader.left:
            raise Cut(f"{count} items wanted, {reader.left} bytes left")
        return tuple(self.item.read(reader) for _ in range(count))


@dataclasses.dataclass(frozen=True)
class Optional(Generic[T]):
    """`option of X`: 0, or 1 and X."""

    item: Codec[T]

    @property
    def name(self) -> str:
        return f"option of {self.item.name}"

    def write(self, value: T | None) -> bytes:
        return b"\0" if value is None else b"\1" + self.item.write(value)

    def read(self, reader: Reader) -> T | None:
        return self.item.read(reader) if Flag().read(reader) else None


@dataclasses.dataclass(frozen=True)
class Framed(Generic[T]):
    """`framed X`: `bytes` that hold X; any bytes after X come from a newer peer."""

    item: Codec[T]

    @property
    def name(self) -> str:
        return f"framed {self.item.name}"

    def write(self, value: T) -> bytes:
        return Blob().write(self.item.write(value))

    def read(self, reader: Reader) -> T:
        return self.item.read(Reader(Blob().read(reader)))


@dataclasses.dataclass(frozen=True)
class Named(Generic[T]):
    """An enum or a code: a number whose unknown values are kept as plain numbers."""

    enum: type[IntEnum]
    number: Codec[int]

    @property
    def name(self) -> str:
        return self.enum.__name__

    def write(self, value: int) -> bytes:
        return self.number.write(value)

    def read(self, reader: Reader) -> int:
        number = self.number.read(reader)
        return self.enum(number) if number in set(self.enum) else number


@dataclasses.dataclass(frozen=True)
class Record(Generic[T]):
    """A record: its fields in order, nothing between them."""

    make: Callable[..., T]
    name: str
    fields: tuple[tuple[str, Codec[Any]], ...]

    def write(self, value: T) -> bytes:
        return b"".join(codec.write(getattr(value, name)) for name, codec in self.fields)

    def read(self, reader: Reader) -> T:
        return self.make(*(codec.read(reader) for _, codec in self.fields))


U8 = Annotated[int, Byte()]
U16 = Annotated[int, Number(16)]
U32 = Annotated[int, Number(32)]
U64 = Annotated[int, Number(64)]


class Value:
    """A record or a frame: something with a codec of its own."""

    codec: ClassVar[Record[Any]]


@dataclass_transform(frozen_default=True)
def record(cls: type[V]) -> type[V]:
    """Makes a frozen dataclass and gives it the `codec` that its annotations describe."""
    made: Any = dataclasses.dataclass(frozen=True, slots=True)(cls)
    hints = get_type_hints(made, include_extras=True)
    fields = tuple((field.name, codec_of(hints[field.name])) for field in dataclasses.fields(made))
    made.codec = Record(made, cls.__name__, fields)
    result: type[V] = made
    return result


def codec_of(hint: Any) -> Codec[Any]:
    """The codec of an annotation: `Annotated[X, codec]`, `tuple[X, ...]`, `X | None`, a class."""
    plain: dict[Any, Codec[Any]] = {bool: Flag(), bytes: Blob(), str: Text()}
    if get_origin(hint) is Annotated:
        of, codec = get_args(hint)
        return Framed(codec_of(of)) if codec is Framed else codec
    if get_origin(hint) is tuple:
        return Listed(codec_of(get_args(hint)[0]))
    if type(None) in get_args(hint):
        return Optional(codec_of(get_args(hint)[0]))
    return plain[hint] if hint in plain else hint.codec  # noqa: SIM401, not every hint has one
