"""Whether the server responds as its OpenAPI document says: schemathesis makes up the requests.

Run as `python -m tests.described EXAMPLES`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from pathlib import Path

from .server import Server

LIMITS = ("limits.requests_burst", "limits.register_burst", "limits.account_burst")
"""What would refuse nearly all of the requests."""

PATIENCE = 10
"""Seconds for one response."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)

ERASES = "eraseMe"
"""The route after which there is nobody to ask for: it is tried alone, at the end."""

REGISTRATION = {"name": "Schema", "language": "en", "age_bracket": "18+"}


def fetch(url: str, body: object = None) -> dict[str, object]:
    """A JSON document."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        document: dict[str, object] = json.load(response)
    return document


def strict(document: dict[str, object]) -> dict[str, object]:
    """The document without its `default` responses, which would allow any status."""
    paths = document["paths"]
    assert isinstance(paths, dict)
    for path in paths.values():
        for operation in path.values():
            operation["responses"].pop("default", None)
    return document


def command(document: Path, url: str, token: object, examples: str) -> list[str]:
    """schemathesis, for all routes that the caller adds."""
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    phases = ["--phases", "examples,coverage,fuzzing"]
    options = ["--continue-on-failure", "--max-examples", examples, "--no-color"]
    options += ["--request-timeout", str(PATIENCE)]
    header = ["--header", f"Authorization: Bearer {token}"]
    checks = ["--checks", ",".join(CHECKS)]
    return [str(program), "run", str(document), "--url", url, *header, *checks, *phases, *options]


def main() -> int:
    """Returns 0 when every response was one of the document."""
    examples = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Server(folder, **dict.fromkeys(LIMITS, "100000000")) as server:
            document = folder / "openapi.json"
            document.write_text(json.dumps(strict(fetch(f"{server.http}/openapi.json"))))
            token = fetch(f"{server.http}/v1/users", REGISTRATION)["access_token"]
            run = command(document, server.http, token, examples)
            # In the folder: its own files, such as the database of examples, are gone afterwards.
            for routes in (["--exclude-operation-id", ERASES], ["--include-operation-id", ERASES]):
                ended = subprocess.run([*run, *routes], cwd=folder, check=False)
                if ended.returncode != 0:
                    return ended.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
