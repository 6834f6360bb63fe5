"""The proof of work of a registration: SPEC §2, "Proof of work"."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import scrypt
from itertools import count

SEARCHES = 2
"""How many numbers a proof has."""


def solve(challenge: str, work: int, key: str) -> str:
    """The proof for this challenge and this Idempotency-Key."""
    most = 0xFFFF_FFFF // work
    start = urlsafe_b64decode(challenge + "=" * (-len(challenge) % 4)) + key.encode()
    numbers = b"".join(_search(start + bytes([index]), most) for index in range(SEARCHES))
    return f"{challenge}.{urlsafe_b64encode(numbers).rstrip(b'=').decode()}"


def _search(salt: bytes, most: int) -> bytes:
    for number in count():
        password = number.to_bytes(4, "big")
        value = scrypt(password, salt=salt, n=32, r=8, p=1, dklen=4)
        if int.from_bytes(value, "big") <= most:
            return password
    raise AssertionError("counting has no end")
