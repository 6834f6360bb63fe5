/**
 * Messages that are on their way: written by the user, not acked by the server yet. Pure.
 *
 * They go out in the order of writing. A message keeps its `clientMessageId` over every resend, so
 * the server takes it once. What was in flight when a link was lost is sent again first.
 *
 * @module
 */

import { QueueFullError } from "../error.js";
import type { Body } from "../generated/chat.js";
import type { ClientMessageId } from "../generated/id.js";
import { UNACKED_SENDS_MAX } from "../generated/limits.js";
import type { Position } from "../generated/position.js";

/** Messages that may wait, those in flight included: a person types for hours before it is full. */
export const OUTBOX_MESSAGES_MAX = 256;

/** A message on its way. */
export interface Unacked {
  /** Its id, the same at every resend. */
  readonly clientMessageId: ClientMessageId;
  /** What it says. */
  readonly body: Body;
  /** The message that it answers. */
  readonly replyTo: Position | null;
  /** When it was written, in milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** Messages that are on their way. */
export class Outbox {
  /** Everything, in the order of writing. */
  readonly #messages = new Map<ClientMessageId, Unacked>();
  /** What is still to be sent over the present link, in the order of writing. */
  #waiting = new Map<ClientMessageId, Unacked>();
  #pausedUntilMs = 0;

  /** Everything on its way, in the order of writing. */
  get messages(): readonly Unacked[] {
    return [...this.#messages.values()];
  }

  /** How many were sent over the present link and have no reply. */
  get inFlight(): number {
    return this.#messages.size - this.#waiting.size;
  }

  /**
   * Takes a message.
   *
   * @throws QueueFullError when {@link OUTBOX_MESSAGES_MAX} wait already.
   */
  push(message: Unacked): void {
    if (this.#messages.size >= OUTBOX_MESSAGES_MAX) {
      throw new QueueFullError("Too many messages wait to be sent.");
    }
    this.#messages.set(message.clientMessageId, message);
    this.#waiting.set(message.clientMessageId, message);
  }

  /** The next message to be sent, which counts as in flight from now on; `null` when there is none. */
  next(nowMs: number): Unacked | null {
    if (nowMs < this.#pausedUntilMs || this.inFlight >= UNACKED_SENDS_MAX) {
      return null;
    }
    const [message = null] = this.#waiting.values();
    if (message !== null) {
      this.#waiting.delete(message.clientMessageId);
    }
    return message;
  }

  /** The message was acked, or failed for good: it is no longer on its way. Returns whether it was. */
  remove(clientMessageId: ClientMessageId): boolean {
    this.#waiting.delete(clientMessageId);
    return this.#messages.delete(clientMessageId);
  }

  /** The server could not take it now: it and what follows wait until `untilMs`. */
  postpone(clientMessageId: ClientMessageId, untilMs: number): void {
    const isWaiting = (id: ClientMessageId) => id === clientMessageId || this.#waiting.has(id);
    this.#waiting = new Map([...this.#messages].filter(([id]) => isWaiting(id)));
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs);
  }

  /** The link is lost: nothing is in flight any more, and everything is sent again over the next. */
  linkLost(): void {
    this.#waiting = new Map(this.#messages);
    this.#pausedUntilMs = 0;
  }

  /** Empties it; returns what was on its way. */
  drain(): readonly Unacked[] {
    const { messages } = this;
    this.#messages.clear();
    this.#waiting.clear();
    return messages;
  }
}
