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
  readonly #messages: Unacked[] = [];
  readonly #inFlight = new Set<ClientMessageId>();
  #pausedUntilMs = 0;

  /** Everything on its way, in the order of writing. */
  get messages(): readonly Unacked[] {
    return this.#messages;
  }

  /** How many were sent over the present link and have no reply. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** When sending goes on after a temporary failure, in milliseconds since the Unix epoch; 0 when it is on. */
  get pausedUntilMs(): number {
    return this.#pausedUntilMs;
  }

  /** Whether `clientMessageId` is on its way. */
  has(clientMessageId: ClientMessageId): boolean {
    return this.#messages.some((message) => message.clientMessageId === clientMessageId);
  }

  /**
   * Takes a message.
   *
   * @throws QueueFullError when {@link OUTBOX_MESSAGES_MAX} wait already.
   */
  push(message: Unacked): void {
    if (this.#messages.length >= OUTBOX_MESSAGES_MAX) {
      throw new QueueFullError("Too many messages wait to be sent.");
    }
    this.#messages.push(message);
  }

  /** The next message to be sent, which counts as in flight from now on; `null` when there is none. */
  next(nowMs: number): Unacked | null {
    if (nowMs < this.#pausedUntilMs || this.#inFlight.size >= UNACKED_SENDS_MAX) {
      return null;
    }
    this.#pausedUntilMs = 0;
    const message = this.#messages.find(({ clientMessageId }) => !this.#inFlight.has(clientMessageId));
    if (message !== undefined) {
      this.#inFlight.add(message.clientMessageId);
    }
    return message ?? null;
  }

  /** The message was acked, or failed for good: it is no longer on its way. */
  remove(clientMessageId: ClientMessageId): Unacked | null {
    this.#inFlight.delete(clientMessageId);
    const at = this.#messages.findIndex((message) => message.clientMessageId === clientMessageId);
    return at < 0 ? null : (this.#messages.splice(at, 1)[0] ?? null);
  }

  /** The server could not take it now: it and what follows wait until `untilMs`. */
  postpone(clientMessageId: ClientMessageId, untilMs: number): void {
    this.#inFlight.delete(clientMessageId);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs);
  }

  /** The link is lost: nothing is in flight any more, and everything is sent again over the next. */
  linkLost(): void {
    this.#inFlight.clear();
    this.#pausedUntilMs = 0;
  }

  /** Empties it; answers what was on its way. */
  drain(): Unacked[] {
    this.#inFlight.clear();
    return this.#messages.splice(0);
  }
}
