"""`nowrong serve` as a process that a test owns: it gets free ports, and is ended."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from pathlib import Path
from time import monotonic
from types import TracebackType

READY_DEADLINE = 30.0
"""Seconds from the start to the `ready` line."""

STOP_DEADLINE = 30.0
"""Seconds from SIGTERM to the exit."""

ROOM_FOR_TESTS = {
    "limits.register_burst": "100000",
    "limits.requests_burst": "100000",
    "limits.account_burst": "100000",
    "limits.handshakes_burst": "100000",
    "limits.proof_work": "0",
}
"""All people of a test have one address, so the limits for one address are raised; tests that
ask for proofs of work say so."""


class Server:
    """A running server."""

    def __init__(self, folder: Path, *, data: str = "memory", **keys: str) -> None:
        self._log = folder / "server.log"
        self._data = data
        self._keys = ROOM_FOR_TESTS | keys
        self._listen = {"http": "127.0.0.1:0", "webtransport": "127.0.0.1:0"}
        self._start()

    def _start(self) -> None:
        program = os.environ.get("NOWRONG_BIN")
        assert program, "NOWRONG_BIN has to name the server's binary"
        keys = [word for key, value in self._keys.items() for word in ("--set", f"{key}={value}")]
        command = [program, "serve", "--data", self._data, *keys]
        command += ["--listen-http", self._listen["http"]]
        command += ["--listen-quic", self._listen["webtransport"]]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=environment()
            )
        try:
            ready = self._ready_line()
        except BaseException:
            self.kill()
            self._close()
            raise
        addresses = dict(word.split("=", 1) for word in ready.split()[1:])
        self.http = addresses["http"]
        self._listen = {name: addresses[name].split("/")[2] for name in self._listen}

    def _ready_line(self) -> str:
        assert self.process.stdout is not None
        deadline = monotonic() + READY_DEADLINE
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                left = deadline - monotonic()
                assert left > 0, "the server did not become ready"
                if selector.select(left):
                    piece = os.read(self.process.stdout.fileno(), 4_096)
                    assert piece, f"the server ended:\n{self._log.read_text()}"
                    line += piece
        assert line.startswith(b"ready "), line
        return line.decode()

    def kill(self) -> None:
        """Ends the process at once, as a crash does."""
        self.process.kill()
        self.process.wait(STOP_DEADLINE)

    def restart(self) -> None:
        """Starts it again on the same ports and data."""
        self.kill()
        self._close()
        self._start()

    def terminate(self) -> None:
        """Asks it to stop; does not wait."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(STOP_DEADLINE)

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        self._close()
        panics = [line for line in self._log.read_text().splitlines() if "panicked" in line]
        assert not panics, panics


def environment() -> dict[str, str]:
    """Our environment, without variables that would configure the server."""
    return {key: value for key, value in os.environ.items() if not key.startswith("NOWRONG_")}
