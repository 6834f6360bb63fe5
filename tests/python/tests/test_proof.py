"""Proofs of work against the vectors: an implementation of scrypt that is not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nowrong_client.proof import solve
from nowrong_client.rest import Api

from .server import Server
from .test_vectors import vectors


@pytest.mark.parametrize("vector", vectors("proof"))
def test_a_challenge_has_the_proof_of_the_vectors(vector: dict[str, Any]) -> None:
    assert solve(vector["challenge"], vector["work"], vector["key"]) == vector["proof"]


async def test_an_account_is_made_where_work_is_asked_for(tmp_path: Path) -> None:
    with Server(tmp_path, **{"limits.proof_work": "200"}) as server:
        account = await Api(server.http).register("Ada")
        assert account.user["name"] == "Ada"
