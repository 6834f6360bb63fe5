/**
 * What an application sees of a chat: messages, events and the end, with the small rules about them.
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

/** How far a message has come. `delivered` and `read` follow from the cursors of the partner. */
export type MessageStatus = "pending" | "acked" | "delivered" | "read";

/** A message, as it is shown. */
export interface ChatMessage {
  /** The id that the sender gave it: the same from writing to erasure. */
  readonly id: ClientMessageId;
  /** Its position; `null` until the server has accepted the message. */
  readonly position: Position | null;
  /** Index of its sender in `Chat.members`. */
  readonly member: number;
  /** Whether the user wrote it. */
  readonly isMine: boolean;
  /** Its content. */
  readonly body: Body;
  /** When the server accepted it (while pending: when it was written), in milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** The message that it replies to. */
  readonly replyTo: Position | null;
  /** How far it has come; always `acked` for a message of another member. */
  readonly status: MessageStatus;
}

/** A message that was sent. */
export interface Sent {
  /** Its id in `Chat.messages`. */
  readonly id: ClientMessageId;
  /** How far it has come at present. */
  readonly status: MessageStatus;
  /**
   * Its position, once the message is durable. Rejects when the server refuses it, or with `ClosedError`. Of a
   * message that was on its way when the chat ended, the server says whether it arrived.
   */
  readonly acked: Promise<Position>;
}

/** The events of a chat. */
export interface ChatEvents {
  /** A new message came: from the partner, or from the user over another connection. */
  message: ChatMessage;
  /** `Chat.messages` has changed in any way. */
  change: readonly ChatMessage[];
  /** A member is typing, or has stopped; typing expires after 5 s. */
  typing: { readonly member: number; readonly isTyping: boolean };
  /** A member looks at the chat, or has stopped looking. */
  presence: { readonly member: number; readonly state: PresenceState };
  /** A member's connection was lost or came back, or the seat was given up. */
  seat: { readonly member: number; readonly state: SeatState; readonly heldUntilMs: number };
  /** How far a member has received and read. */
  read: { readonly member: number; readonly delivered: Position; readonly read: Position };
  /** A message was deleted for all. */
  deleted: { readonly position: Position };
  /** The chat ends at this time unless somebody writes; 0 when somebody did. */
  idle: { readonly endsAtMs: number };
  /** A message was refused for good, and is no longer in `Chat.messages`. */
  failed: { readonly id: ClientMessageId; readonly body: Body; readonly error: NoWrongError };
  /** The chat has ended. */
  ended: ChatEnd;
}

/** How a chat ended. */
export interface ChatEnd {
  /** The reason; `null` when the server no longer knows it. */
  readonly reason: EndReason | null;
  /** Index of the member who ended it, if one did. */
  readonly member: number | null;
  /** When it is erased, in milliseconds since the Unix epoch. */
  readonly expiresAtMs: number;
}

/** Stands in for a member that the server did not list. */
export const NOBODY: Member = {
  name: "",
  language: "",
  seat: "free",
  heldUntilMs: 0,
  delivered: POSITION_START,
  read: POSITION_START,
};

/** The later of two positions. */
export function later(a: Position, b: Position): Position {
  return comparePosition(a, b) >= 0 ? a : b;
}

/** Throws the error that the server would return for this text. It saves a request; the server decides. */
export function checkText(text: string): void {
  if (text.trim() === "") {
    throw new RequestError({ code: ErrorCode.TEXT_EMPTY });
  }
  if (utf8Length(text) > TEXT_BYTES_MAX) {
    throw new RequestError({ code: ErrorCode.TEXT_TOO_LONG, detail: `at most ${TEXT_BYTES_MAX} bytes` });
  }
}
