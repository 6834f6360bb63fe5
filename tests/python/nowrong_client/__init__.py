"""A NoWrong client in Python, written from `protocol/SPEC.md` alone.

It exists to prove the specification: it shares no line with the Rust and TypeScript
implementations. Start reading at `conversation`; `frames` is SPEC §7, `codec` is §5, `envelope` is
§4, `rest` is §2, `webtransport` and `websocket` are §3.
"""
