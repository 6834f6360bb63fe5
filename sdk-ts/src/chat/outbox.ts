/**
 * Messages that the user has written and the server has not acked yet. Pure.
 *
 * They are sent in the order of writing. A message keeps its `clientMessageId` over every resend, so that
 * the server takes it once. What was in flight when a link was lost is sent again first.
 *
 * @module
 */

import { QueueFullError } from "../error.js";
import type { Body } from "../generated/chat.js";
import type { ClientMessageId } from "../generated/id.js";
import { UNACKED_SENDS_MAX } from "../generated/limits.js";
import type { Position } from "../generated/position.js";

/** The most messages that may wait, those in flight included: nobody writes that many while offline. */
export const OUTBOX_MESSAGES_MAX = 256;

/** A message without an ack. */
export interface Unacked {
  /** Its id, the same at every resend. */
  readonly clientMessageId: ClientMessageId;
  /** Its content. */
  readonly body: Body;
  /** The message that it replies to. */
  readonly replyTo: Position | null;
  /** When it was written, in milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** The messages of one chat without an ack. */
export class Outbox {
  /** All of them, in the order of writing. */
  readonly #messages = new Map<ClientMessageId, Unacked>();
  /** Those not yet sent over the present link, in the order of writing. */
  #waiting = new Map<ClientMessageId, Unacked>();
  /** Those that were sent over this link or an earlier one: the server may have them. */
  readonly #sent = new Set<ClientMessageId>();
  #pausedUntilMs = 0;

  /** All messages without an ack, in the order of writing. */
  get messages(): readonly Unacked[] {
    return [...this.#messages.values()];
  }

  /** The number of messages that were sent over the present link and have no reply. */
  get inFlight(): number {
    return this.#messages.size - this.#waiting.size;
  }

  /**
   * Adds a message.
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

  /** Returns the next message to send, which is in flight from now on; `null` when there is none. */
  next(nowMs: number): Unacked | null {
    if (nowMs < this.#pausedUntilMs || this.inFlight >= UNACKED_SENDS_MAX) {
      return null;
    }
    const [message = null] = this.#waiting.values();
    if (message !== null) {
      this.#waiting.delete(message.clientMessageId);
      this.#sent.add(message.clientMessageId);
    }
    return message;
  }

  /** The message was acked, or refused for good. Returns whether it was in the outbox. */
  remove(clientMessageId: ClientMessageId): boolean {
    this.#waiting.delete(clientMessageId);
    this.#sent.delete(clientMessageId);
    return this.#messages.delete(clientMessageId);
  }

  /** The server could not take the message now: it and all that follow wait until `untilMs`. */
  postpone(clientMessageId: ClientMessageId, untilMs: number): void {
    const isWaiting = (id: ClientMessageId) => id === clientMessageId || this.#waiting.has(id);
    this.#waiting = new Map([...this.#messages].filter(([id]) => isWaiting(id)));
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs);
  }

  /** The link is lost: nothing is in flight any more, and everything is sent again over the next one. */
  linkLost(): void {
    this.#waiting = new Map(this.#messages);
    this.#pausedUntilMs = 0;
  }

  /** Takes out the messages that were never sent, and returns them. */
  drainUnsent(): readonly Unacked[] {
    const unsent = this.messages.filter(({ clientMessageId }) => !this.#sent.has(clientMessageId));
    for (const { clientMessageId } of unsent) {
      this.remove(clientMessageId);
    }
    return unsent;
  }

  /** Empties the outbox, and returns what was in it. */
  drain(): readonly Unacked[] {
    const { messages } = this;
    this.#messages.clear();
    this.#waiting.clear();
    this.#sent.clear();
    return messages;
  }
}
