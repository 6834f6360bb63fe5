"""Compares the tables of SPEC.md with the classes of this client: both must have the same
entries."""

import re
from enum import IntEnum
from pathlib import Path

import pytest

from nowrong_client import frames
from nowrong_client.codec import Value
from nowrong_client.frames import FRAMES, CloseCode, ErrorCode, is_reconnect

SPEC = (Path(__file__).parents[3] / "protocol" / "SPEC.md").read_text()


def table(name: str) -> str:
    """The text between the comments of a generated table."""
    found = re.search(rf"<!-- table {name} -->\n(.*?)<!-- end -->", SPEC, re.DOTALL)
    assert found, f"SPEC.md has no table {name}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a table in Markdown, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def sections(text: str) -> dict[str, list[list[str]]]:
    """Title and rows of each `####` of a table."""
    return {
        part.partition("\n")[0].strip(): rows(part)
        for part in re.split(r"^#### ", text, flags=re.MULTILINE)[1:]
    }


def fields_of(value: type[Value]) -> list[list[str]]:
    return [[name, codec.name] for name, codec in value.codec.fields]


def test_the_list_of_frames() -> None:
    ours = [
        [str(number), frame.__name__, frame.sender.value, frame.lane.value]
        for number, frame in FRAMES.items()
    ]
    assert rows(table("frames")) == ours


@pytest.mark.parametrize("family", ["connect", "queue", "chat", "history", "signal"])
def test_the_fields_of_frames(family: str) -> None:
    for title, fields in sections(table(f"fields {family}")).items():
        number = int(title.split()[0])
        theirs = [[name, kind] for name, kind, _ in fields]
        assert fields_of(FRAMES[number]) == theirs, title


def test_the_fields_of_records() -> None:
    for title, fields in sections(table("records")).items():
        record = getattr(frames, title.split("`")[1])
        assert fields_of(record) == [[name, kind] for name, kind, _ in fields], title


def test_the_numbers_of_enums() -> None:
    for title, numbers in sections(table("enums")).items():
        enum: type[IntEnum] = getattr(frames, title.split("`")[1])
        ours = [[str(member.value), member.name.capitalize()] for member in enum]
        assert ours == [row[:2] for row in numbers], title


@pytest.mark.parametrize(("name", "codes"), [("close", CloseCode), ("error", ErrorCode)])
def test_the_numbers_of_codes(name: str, codes: type[IntEnum]) -> None:
    ours = [[str(code.value), code.name] for code in codes]
    assert [row[:2] for row in rows(table(f"{name} codes"))] == ours


def test_the_range_of_a_close_code_says_whether_to_reconnect() -> None:
    for number, _, advice, _ in rows(table("close codes")):
        assert is_reconnect(int(number)) == (advice == "reconnect")
