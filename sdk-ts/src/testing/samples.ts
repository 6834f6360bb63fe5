/**
 * Frames of a server with usual values. A test names only the values that it is about.
 */
import type { ChatState, Message } from "../generated/chat.js";
import type { Welcome } from "../generated/connect.js";
import { encodeServerFrame, type ServerFrame, serverFrameType } from "../generated/frame.js";
import { POSITION_START, type Position } from "../generated/position.js";
import type { TicketState } from "../generated/queue.js";
import { Writer } from "../wire/codec.js";
import { envelop } from "../wire/envelope.js";

export const CHAT = "019aabcd-ef01-7234-9567-89abcdef0101";
export const TICKET = "019aabcd-eeff-7aaa-8bbb-ccccddddeeee";

/** The stream envelopes of `frames`, one after the other. */
export function serverBytes(...frames: ServerFrame[]): Uint8Array<ArrayBuffer> {
  const parts = frames.map((frame) => {
    const writer = new Writer();
    encodeServerFrame(writer, frame);
    return envelop(serverFrameType(frame), writer.view());
  });
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function welcome(parts: Partial<Welcome> = {}): Welcome {
  return {
    kind: "welcome",
    version: 1,
    connection: "019aabcd-ee00-7000-8000-000000000001",
    serverTimeMs: 2_000_000,
    limits: {
      frameBytesMax: 65_536,
      textBytesMax: 8_000,
      textGraphemesMax: 2_000,
      pingIntervalMs: 20_000,
      idleTimeoutMs: 50_000,
      seatHoldMs: 90_000,
    },
    ticket: null,
    chat: null,
    ...parts,
  };
}

export function at(epoch: number, seq: number): Position {
  return { epoch, seq };
}

export function chatState(parts: Partial<ChatState> = {}): ChatState {
  const member = {
    language: "en",
    seat: "taken",
    heldUntilMs: 0,
    delivered: POSITION_START,
    read: POSITION_START,
  };
  return {
    chat: CHAT,
    category: "music",
    members: [
      { ...member, name: "Ada", seat: "taken" },
      { ...member, name: "Bob", seat: "taken" },
    ],
    you: 0,
    why: { sharedInterests: ["jazz"], isSameLanguage: true },
    head: POSITION_START,
    resumed: POSITION_START,
    unread: 0,
    startedAtMs: 2_000_000,
    expiresAtMs: 88_400_000,
    ...parts,
  };
}

export function ticketState(parts: Partial<TicketState> = {}): TicketState {
  return {
    ticket: TICKET,
    category: "music",
    interests: ["jazz"],
    sinceMs: 2_000_000,
    stage: "interests",
    waiting: 1,
    ...parts,
  };
}

export function message(position: Position, text: string, parts: Partial<Message> = {}): Message {
  const tail = position.seq.toString(16).padStart(12, "0");
  return {
    kind: "message",
    chat: CHAT,
    position,
    member: 1,
    clientMessageId: `00000000-0000-7000-8000-${tail}`,
    atMs: 2_000_000 + position.seq,
    replyTo: null,
    body: { kind: "text", text },
    ...parts,
  };
}
