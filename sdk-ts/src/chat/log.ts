/**
 * The messages of one chat, by position. Pure: no time, no network.
 *
 * Each `seq` is held at most once. The log knows up to where it has no hole (its
 * {@link ChatLog.position}, from which a new connection resumes) and how many messages are missing
 * below the newest one. Own messages enter it when the server has given them a position.
 *
 * @module
 */

import type { Message } from "../generated/chat.js";
import { comparePosition, POSITION_START, type Position } from "../generated/position.js";

/** What became of a message. */
export type Inserted = "new" | "known" | "void";

/** The messages of one chat, by position. */
export class ChatLog {
  readonly #messages = new Map<number, Message>();
  /** Everything after it, up to `#position`, is held. */
  #base: Position;
  #position: Position;
  #newest: number;
  /** Deletions of messages that are not here yet. */
  readonly #deleted = new Map<number, Position>();
  #view: readonly Message[] | null = null;

  /** A log that goes on after `base`: what is older can be read as history. */
  constructor(base: Position = POSITION_START) {
    this.#base = base;
    this.#position = base;
    this.#newest = base.seq;
  }

  /** Up to where the log is held without a hole: what a new connection resumes from. */
  get position(): Position {
    return this.#position;
  }

  /** What the oldest message held comes after. */
  get base(): Position {
    return this.#base;
  }

  /** How many messages are missing below the newest one. */
  get missing(): number {
    let held = 0;
    for (let seq = this.#newest; seq > this.#position.seq; seq -= 1) {
      held += this.#messages.has(seq) ? 1 : 0;
    }
    return this.#newest - this.#position.seq - held;
  }

  /** Every message held, in ascending position. */
  get messages(): readonly Message[] {
    this.#view ??= [...this.#messages.values()].sort((a, b) => a.position.seq - b.position.seq);
    return this.#view;
  }

  /** The message at `position`, if it is held. */
  at(position: Position): Message | null {
    const message = this.#messages.get(position.seq);
    return message !== undefined && comparePosition(message.position, position) === 0 ? message : null;
  }

  /**
   * Takes a message. One of a later epoch than what is held at its seq voids that and all after it:
   * the log was rebuilt, and those never became durable.
   */
  insert(message: Message): Inserted {
    const { position } = message;
    const held = this.#messages.get(position.seq);
    if (held !== undefined) {
      if (held.position.epoch >= position.epoch) {
        return held.position.epoch === position.epoch ? "known" : "void";
      }
      this.truncate(position.seq - 1);
    } else if (position.seq <= this.#base.seq) {
      return "known";
    }
    this.#put(message);
    this.#advance();
    return "new";
  }

  /** Takes older messages, which come right before the oldest one held. */
  prepend(messages: readonly Message[], isComplete: boolean): void {
    for (const message of messages) {
      if (!this.#messages.has(message.position.seq) && message.position.seq <= this.#base.seq) {
        this.#put(message);
      }
    }
    const [oldest] = messages;
    if (isComplete) {
      this.#base = POSITION_START;
    } else if (oldest !== undefined && oldest.position.seq <= this.#base.seq) {
      this.#base = { epoch: oldest.position.epoch, seq: oldest.position.seq - 1 };
    }
  }

  /** Drops every message with a seq over `seq`. */
  truncate(seq: number): void {
    for (const held of [...this.#messages.keys()]) {
      if (held > seq) {
        this.#messages.delete(held);
      }
    }
    this.#view = null;
    this.#newest = Math.min(this.#newest, seq);
    if (this.#position.seq > seq) {
      this.#position = this.#messages.get(seq)?.position ?? { epoch: this.#base.epoch, seq };
      this.#base = this.#base.seq > seq ? this.#position : this.#base;
    }
  }

  /** Goes on where the server does: drops what is over it, and takes what is missing below as lost. */
  resume(resumed: Position): void {
    this.truncate(resumed.seq);
    if (this.#messages.size === 0) {
      this.#base = resumed;
    }
    if (this.#position.seq <= resumed.seq) {
      this.#position = resumed;
      this.#newest = Math.max(this.#newest, resumed.seq);
    }
    this.#advance();
  }

  /** Takes the first hole as final: the server has nothing there. */
  skipHole(): void {
    for (let seq = this.#position.seq + 1; seq <= this.#newest; seq += 1) {
      const message = this.#messages.get(seq);
      if (message !== undefined) {
        this.#position = message.position;
        this.#advance();
        return;
      }
    }
  }

  /** Marks a message as deleted, now or when it comes. Answers whether it is held and was not before. */
  delete(position: Position): boolean {
    this.#deleted.set(position.seq, position);
    const message = this.at(position);
    if (message === null || message.body.kind === "deleted") {
      return false;
    }
    this.#put(message);
    return true;
  }

  #put(message: Message): void {
    const { seq } = message.position;
    const deleted = this.#deleted.get(seq);
    const isDeleted = deleted !== undefined && comparePosition(deleted, message.position) === 0;
    this.#messages.set(seq, isDeleted ? { ...message, body: { kind: "deleted" } } : message);
    this.#newest = Math.max(this.#newest, seq);
    this.#view = null;
  }

  #advance(): void {
    let next = this.#messages.get(this.#position.seq + 1);
    while (next !== undefined) {
      this.#position = next.position;
      next = this.#messages.get(this.#position.seq + 1);
    }
  }
}
