/**
 * What a chat shows and tells: its messages, events and end, and the small rules about them.
 *
 * @module
 */

import { type NoWrongError, RequestError } from "../error.js";
import type { Body, EndReason, Member, SeatState } from "../generated/chat.js";
import { ErrorCode } from "../generated/code.js";
import type { ClientMessageId } from "../generated/id.js";
import { TEXT_BYTES_MAX } from "../generated/limits.js";
import { comparePosition, POSITION_START, type Position } from "../generated/position.js";
import type { PresenceState } from "../generated/signal.js";
import { utf8Length } from "../wire/codec.js";

/** How far a message has come. `delivered` and `read` are what the partner's cursor says. */
export type MessageStatus = "pending" | "acked" | "delivered" | "read";

/** A message as it is shown. */
export interface ChatMessage {
  /** The sender's own id of it: the same from writing to erasure. */
  readonly id: ClientMessageId;
  /** Where it stands; `null` until the server has taken it. */
  readonly position: Position | null;
  /** Index of its sender in `Chat.members`. */
  readonly member: number;
  /** Whether one wrote it oneself. */
  readonly isMine: boolean;
  /** What it says. */
  readonly body: Body;
  /** When the server took it (while pending: when it was written), in milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** The message that it answers. */
  readonly replyTo: Position | null;
  /** How far it has come; `acked` for those of others. */
  readonly status: MessageStatus;
}

/** A message on its way. */
export interface Sent {
  /** Its id in `Chat.messages`. */
  readonly id: ClientMessageId;
  /** How far it has come by now. */
  readonly status: MessageStatus;
  /** Its position, once it is durable; rejects with why the server refused it, or with `ClosedError`. */
  readonly acked: Promise<Position>;
}

/** What a chat tells. */
export interface ChatEvents {
  /** A message came that was not here before: of the partner, or one's own from another connection. */
  message: ChatMessage;
  /** `Chat.messages` is different now, in whatever way. */
  change: readonly ChatMessage[];
  /** A member types, or stopped; it lapses after 5 s by itself. */
  typing: { readonly member: number; readonly isTyping: boolean };
  /** A member looks at the chat, or turned away. */
  presence: { readonly member: number; readonly state: PresenceState };
  /** A member's connection was lost, came back, or the seat was given up. */
  seat: { readonly member: number; readonly state: SeatState; readonly heldUntilMs: number };
  /** How far a member has received and read. */
  read: { readonly member: number; readonly delivered: Position; readonly read: Position };
  /** A message was deleted for all. */
  deleted: { readonly position: Position };
  /** The chat ends at this time unless someone speaks; 0 when someone did. */
  idle: { readonly endsAtMs: number };
  /** A message was refused for good and is no longer in `Chat.messages`. */
  failed: { readonly id: ClientMessageId; readonly body: Body; readonly error: NoWrongError };
  /** The chat has ended. */
  ended: ChatEnd;
}

/** How a chat ended. */
export interface ChatEnd {
  /** Why; `null` when nothing is left of it to say so. */
  readonly reason: EndReason | null;
  /** Index of the member who ended it, if one did. */
  readonly member: number | null;
  /** When it is erased, in milliseconds since the Unix epoch. */
  readonly expiresAtMs: number;
}

/** Stands for a member that the server did not list. */
export const NOBODY: Member = {
  name: "",
  language: "",
  seat: "free",
  heldUntilMs: 0,
  delivered: POSITION_START,
  read: POSITION_START,
};

/** The position that stands further on. */
export function later(a: Position, b: Position): Position {
  return comparePosition(a, b) >= 0 ? a : b;
}

/** Throws what the server would answer to a text that it must refuse: it judges, this spares it the asking. */
export function checkText(text: string): void {
  if (text.trim() === "") {
    throw new RequestError({ code: ErrorCode.TEXT_EMPTY });
  }
  if (utf8Length(text) > TEXT_BYTES_MAX) {
    throw new RequestError({ code: ErrorCode.TEXT_TOO_LONG, detail: `at most ${TEXT_BYTES_MAX} bytes` });
  }
}
