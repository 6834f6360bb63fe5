/**
 * The messages of one chat, by position. Pure: no time, no network.
 *
 * Each `seq` is held at most once, in an array that ascends by `seq`. Normally a message is the next one,
 * which costs the same however many are held. The log knows up to where it has no hole (its
 * {@link ChatLog.position}, from which a new connection resumes) and how many messages are missing
 * below the newest one. Messages of the user enter it when the server has given them a position.
 *
 * @module
 */

import type { Message } from "../generated/chat.js";
import { comparePosition, POSITION_START, type Position } from "../generated/position.js";

/** The outcome of {@link ChatLog.insert}. `void`: a later epoch has replaced the message. */
export type Inserted = "new" | "known" | "void";

/** Follows the changes of a log, by their index in {@link ChatLog.messages}. */
export interface LogWatcher {
  /** `message` was inserted at `index`; the messages behind it have moved by one. */
  inserted(index: number, message: Message): void;
  /** `message` has replaced the one at `index`. */
  replaced(index: number, message: Message): void;
  /** Only the first `length` messages are left. */
  truncated(length: number): void;
}

/** The messages of one chat, by position. */
export class ChatLog {
  /** In ascending `seq`. */
  readonly #messages: Message[] = [];
  readonly #you: number;
  readonly #watcher: LogWatcher | null;
  /** The oldest message held comes after it. */
  #base: Position;
  #position: Position;
  /** The number of messages held at `#position` or below. */
  #gapless = 0;
  #newest: number;
  #newestTheirs = 0;
  /** Deletions, also of messages that have not come yet. */
  readonly #deleted = new Map<number, Position>();

  /** A log that begins after `base`; older messages are history. `you` is the index of the user. */
  constructor(you: number, base: Position = POSITION_START, watcher: LogWatcher | null = null) {
    this.#you = you;
    this.#watcher = watcher;
    this.#base = base;
    this.#position = base;
    this.#newest = base.seq;
  }

  /** The last position before the first hole: a new connection resumes from here. */
  get position(): Position {
    return this.#position;
  }

  /** The position before the oldest message. */
  get base(): Position {
    return this.#base;
  }

  /** The number of messages that are missing below the newest one. */
  get missing(): number {
    return this.#newest - this.#position.seq - (this.#messages.length - this.#gapless);
  }

  /** The `seq` of the newest message of another member at {@link ChatLog.position} or below; else 0. */
  get newestTheirs(): number {
    return this.#newestTheirs;
  }

  /** Every message held, in ascending position. */
  get messages(): readonly Message[] {
    return this.#messages;
  }

  /** The number of messages held below `seq`, which is the index where that message is, or would be. */
  indexOf(seq: number): number {
    const last = this.#messages.at(-1);
    if (last === undefined || last.position.seq < seq) {
      return this.#messages.length; // The normal case: messages come in order.
    }
    const likely = this.#messages.length - 1 - (last.position.seq - seq);
    if (this.#messages[likely]?.position.seq === seq) {
      return likely; // There is no hole above it.
    }
    let [low, high] = [0, this.#messages.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#messages[middle]?.position.seq ?? 0) < seq) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /**
   * Adds a message. If a message of an earlier epoch is held at its seq, that one and all after it are
   * void: the log was rebuilt, and they never became durable.
   */
  insert(message: Message): Inserted {
    const { position } = message;
    const held = this.#at(position.seq);
    if (held !== null) {
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

  /** Adds older messages, which come right before the oldest one held. */
  prepend(messages: readonly Message[], isComplete: boolean): void {
    for (const message of messages) {
      const { seq } = message.position;
      if (seq <= this.#base.seq && this.#at(seq) === null) {
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
    const length = this.indexOf(seq + 1);
    if (length < this.#messages.length) {
      this.#messages.length = length;
      this.#watcher?.truncated(length);
    }
    this.#newest = Math.min(this.#newest, seq);
    if (this.#position.seq > seq) {
      this.#position = this.#at(seq)?.position ?? { epoch: this.#base.epoch, seq };
      this.#base = this.#base.seq > seq ? this.#position : this.#base;
      this.#countUpToPosition(length);
    }
  }

  /** Continues at `resumed`, as the server does: drops what is above, and gives up what is missing below. */
  resume(resumed: Position): void {
    this.truncate(resumed.seq);
    if (this.#messages.length === 0) {
      this.#base = resumed;
    }
    this.#position = resumed;
    this.#newest = resumed.seq;
    this.#countUpToPosition(this.#messages.length);
  }

  /** Moves the position over the first hole: the server has no messages there. */
  skipHole(): void {
    const message = this.#messages[this.#gapless];
    if (message !== undefined) {
      this.#pass(message);
      this.#advance();
    }
  }

  /** Marks a message as deleted, now or when it comes. Returns whether this changed a message held. */
  delete(position: Position): boolean {
    this.#deleted.set(position.seq, position);
    const message = this.#at(position.seq);
    if (message === null || message.body.kind === "deleted" || !isAt(message, position)) {
      return false;
    }
    const index = this.indexOf(position.seq);
    this.#messages[index] = erased(message);
    this.#watcher?.replaced(index, erased(message));
    return true;
  }

  /** The message held at `seq`. */
  #at(seq: number): Message | null {
    const message = this.#messages[this.indexOf(seq)];
    return message?.position.seq === seq ? message : null;
  }

  /** Adds a message whose seq is free. */
  #put(given: Message): void {
    const { seq } = given.position;
    const deleted = this.#deleted.get(seq);
    const message = deleted !== undefined && isAt(given, deleted) ? erased(given) : given;
    const index = this.indexOf(seq);
    this.#messages.splice(index, 0, message);
    this.#watcher?.inserted(index, message);
    this.#newest = Math.max(this.#newest, seq);
    if (seq <= this.#position.seq) {
      this.#gapless += 1;
      this.#noteTheirs(message);
    }
  }

  #advance(): void {
    let next = this.#messages[this.#gapless];
    while (next !== undefined && next.position.seq === this.#position.seq + 1) {
      this.#pass(next);
      next = this.#messages[this.#gapless];
    }
  }

  /** Moves the position to the first message above it. */
  #pass(message: Message): void {
    this.#position = message.position;
    this.#gapless += 1;
    this.#noteTheirs(message);
  }

  #noteTheirs({ member, position }: Message): void {
    if (member !== this.#you) {
      this.#newestTheirs = Math.max(this.#newestTheirs, position.seq);
    }
  }

  /** The position has jumped: the first `gapless` messages are there or below. */
  #countUpToPosition(gapless: number): void {
    this.#gapless = gapless;
    this.#newestTheirs = 0;
    for (let index = gapless - 1; index >= 0 && this.#newestTheirs === 0; index -= 1) {
      const message = this.#messages[index];
      if (message !== undefined) {
        this.#noteTheirs(message);
      }
    }
  }
}

function isAt(message: Message, position: Position): boolean {
  return comparePosition(message.position, position) === 0;
}

function erased(message: Message): Message {
  return { ...message, body: { kind: "deleted" } };
}
