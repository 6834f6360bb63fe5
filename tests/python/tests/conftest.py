"""The real server, and people who talk on it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from .people import People
from .server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server, shared by all tests that do not end it."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
async def people(server: Server) -> AsyncIterator[People]:
    """People whose connections end with the test."""
    async with AsyncExitStack() as stack:
        yield People(server.http, stack)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a server of one's own."""
    return tmp_path
