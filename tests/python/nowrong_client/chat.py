"""The state that a client holds of its chat, over all its connections: SPEC §8 and §9, without
IO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from .frames import START, Body, ChatState, Ended, Message, Position, Resume, Send


@dataclass(frozen=True, slots=True)
class Entry:
    """One message that has a position."""

    position: Position
    member: int
    client_message_id: UUID
    reply_to: Position | None
    body: Body


@dataclass(slots=True)
class Chat:
    """One chat as its member knows it."""

    state: ChatState
    entries: dict[int, Entry] = field(default_factory=dict)
    unacked: dict[UUID, Send] = field(default_factory=dict)
    ended: Ended | None = None
    is_gone: bool = False

    @property
    def id(self) -> UUID:
        return self.state.chat

    @property
    def texts(self) -> list[str | None]:
        """The texts, in order."""
        return [self.entries[seq].body.text for seq in sorted(self.entries)]

    def resume(self) -> Resume:
        """The position up to which everything is held without a gap."""
        position, seq = START, 1
        while seq in self.entries:
            position, seq = self.entries[seq].position, seq + 1
        return Resume(self.id, position)

    def resumed(self, state: ChatState) -> None:
        """Resumes as `Welcome` says: messages over `resumed` did not survive a restart."""
        self.state = state
        for seq in [seq for seq in self.entries if seq > state.resumed.seq]:
            del self.entries[seq]

    def sending(
        self, request: int, text: str, reply_to: Position | None, new_id: Callable[[], UUID] = uuid4
    ) -> Send:
        """A new message of one's own."""
        send = Send(request, self.id, new_id(), reply_to, Body.of_text(text))
        self.unacked[send.client_message_id] = send
        return send

    def acked(self, send: Send, position: Position) -> None:
        """One of our own messages is durable."""
        self.unacked.pop(send.client_message_id, None)
        self.hold(Entry(position, self.state.you, send.client_message_id, send.reply_to, send.body))

    def received(self, message: Message) -> bool:
        """Takes in a message; returns whether it is new."""
        return self.hold(
            Entry(
                message.position,
                message.member,
                message.client_message_id,
                message.reply_to,
                message.body,
            )
        )

    def hold(self, entry: Entry) -> bool:
        """Holds an entry unless its place is taken; a higher epoch wins."""
        held = self.entries.get(entry.position.seq)
        if held is not None and not held.position < entry.position:
            return False
        self.entries[entry.position.seq] = entry
        return True

    def deleted(self, position: Position) -> None:
        """A message was erased for all members."""
        held = self.entries.get(position.seq)
        if held is not None and held.position == position:
            self.entries[position.seq] = Entry(
                position,
                held.member,
                held.client_message_id,
                held.reply_to,
                Body(Body.DELETED, b""),
            )
