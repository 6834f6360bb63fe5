"""The REST interface as far as a chat client needs it: SPEC §2."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from .proof import solve

TIMEOUT = 10.0
"""Seconds that a request may take."""


class Problem(Exception):
    """A refused request (RFC 9457)."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(f"{status} {document.get('name')}: {document.get('detail')}")
        self.status = status
        self.document = document

    @property
    def code(self) -> int:
        """The error code."""
        return int(self.document["code"])


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer of `POST /v1/connect`: where to connect, and the token for it."""

    connect_token: str
    expires_in_ms: int
    webtransport: str | None
    websocket: str
    certificate_hash: str | None


@dataclass(slots=True)
class Account:
    """A registered user."""

    api: Api
    user: dict[str, Any]
    access_token: str
    refresh_token: str

    async def connect(self) -> Admission:
        """A connect token, good for one connection within 30 s."""
        answer = await self.api.call("POST", "/v1/connect", access_token=self.access_token)
        endpoint = answer["endpoint"]
        return Admission(
            answer["connect_token"],
            answer["expires_in_ms"],
            endpoint["webtransport"],
            endpoint["websocket"],
            endpoint["certificate_hash"],
        )

    async def refresh(self) -> None:
        """New tokens for the old refresh token."""
        body = {"refresh_token": self.refresh_token}
        answer = await self.api.call("POST", "/v1/auth/refresh", body)
        self.access_token, self.refresh_token = answer["access_token"], answer["refresh_token"]

    async def delete(self) -> None:
        """Removes the account."""
        await self.api.call("DELETE", "/v1/me", access_token=self.access_token)


class Api:
    """The REST interface of one server."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    async def register(
        self,
        name: str,
        interests: tuple[str, ...] = (),
        language: str = "en",
        key: str | None = None,
    ) -> Account:
        """Registers an account; with the same key again, it is the same account."""
        body = {
            "name": name,
            "language": language,
            "age_bracket": "18+",
            "interests": list(interests),
        }
        key = key or secrets.token_urlsafe(24)
        headers = {"Idempotency-Key": key}
        try:
            answer = await self.call("POST", "/v1/users", body, headers=headers)
        except Problem as problem:
            challenge = problem.document.get("challenge")
            if challenge is None:
                raise
            body["proof"] = await asyncio.to_thread(
                solve, challenge["text"], challenge["work"], key
            )
            answer = await self.call("POST", "/v1/users", body, headers=headers)
        return Account(self, answer["user"], answer["access_token"], answer["refresh_token"])

    async def categories(self) -> list[str]:
        """The ids of all categories."""
        answer = await self.call("GET", "/v1/categories")
        return [category["id"] for category in answer["categories"]]

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        access_token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Makes a request; raises `Problem` when it is refused."""
        headers = dict(headers or {})
        if access_token:
            headers["Authorization"] = f"Bearer {access_token}"
        return await asyncio.to_thread(self._call, method, path, body, headers)

    def _call(self, method: str, path: str, body: object, headers: dict[str, str]) -> Any:
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        secure = self._url.scheme == "https"
        connection = (HTTPSConnection if secure else HTTPConnection)(
            self._url.netloc, timeout=TIMEOUT
        )
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        answer = json.loads(text) if text else None
        if response.status >= 400:
            raise Problem(response.status, answer or {})
        return answer
