/**
 * The messages of a chat as they are shown. Pure.
 *
 * One row for each message of the log, in its order, and then those on their way. A row is an object
 * that stays the same while nothing about its message changes, so that a page redraws only what
 * differs; a change of one message makes one row. A new list is put together only when it is read.
 *
 * @module
 */

import type { Message } from "../generated/chat.js";
import type { ClientMessageId } from "../generated/id.js";
import { comparePosition, type Position } from "../generated/position.js";
import type { LogWatcher } from "./log.js";
import type { Unacked } from "./outbox.js";
import type { ChatMessage, MessageStatus } from "./view.js";

/** How far the partner is, which decides the status of what the user wrote. */
export interface PartnerCursors {
  /** Up to where the partner has received. */
  readonly delivered: Position;
  /** Up to where the partner has read. */
  readonly read: Position;
}

/** What is shown of one chat. */
export class Rows implements LogWatcher {
  readonly #you: number;
  readonly #indexOf: (seq: number) => number;
  #partner: PartnerCursors;
  /** One for each message of the log, at the same index. */
  readonly #held: ChatMessage[] = [];
  /** The `seq` of the user's own messages in the log. */
  readonly #own = new Map<ClientMessageId, number>();
  /** What is on its way, in the order of writing; its message may be in the log already. */
  readonly #pending = new Map<ClientMessageId, ChatMessage>();
  #list: readonly ChatMessage[] | null = [];

  /** `you` is the user's index among the members; `indexOf` tells where in the log a seq stands. */
  constructor(you: number, partner: PartnerCursors, indexOf: (seq: number) => number) {
    this.#you = you;
    this.#partner = partner;
    this.#indexOf = indexOf;
  }

  /** Every row; the same array until something changes. */
  get list(): readonly ChatMessage[] {
    this.#list ??= this.#makeList();
    return this.#list;
  }

  /** The row of the message that the log holds at `seq`. */
  at(seq: number): ChatMessage | null {
    const row = this.#held[this.#indexOf(seq)];
    return row?.position?.seq === seq ? row : null;
  }

  /** How far an own message has come. */
  status(id: ClientMessageId): MessageStatus {
    const seq = this.#own.get(id);
    return seq === undefined ? "pending" : (this.at(seq)?.status ?? "pending");
  }

  /** Of {@link LogWatcher}. */
  inserted(index: number, message: Message): void {
    if (message.member === this.#you) {
      this.#own.set(message.clientMessageId, message.position.seq);
    }
    this.#held.splice(index, 0, this.#row(message));
    this.#list = null;
  }

  /** Of {@link LogWatcher}. */
  replaced(index: number, message: Message): void {
    this.#held[index] = this.#row(message);
    this.#list = null;
  }

  /** Of {@link LogWatcher}. */
  truncated(length: number): void {
    for (const { id, isMine } of this.#held.splice(length)) {
      if (isMine) {
        this.#own.delete(id);
      }
    }
    this.#list = null;
  }

  /** The user wrote a message: it is on its way. */
  wrote({ clientMessageId: id, body, replyTo, atMs }: Unacked): void {
    const mine = { member: this.#you, isMine: true, status: "pending" } as const;
    this.#pending.set(id, { id, position: null, ...mine, body, atMs, replyTo });
    this.#list = null;
  }

  /** A message is no longer on its way: acked, refused, or given up. */
  settled(id: ClientMessageId): void {
    this.#pending.delete(id);
    this.#list = null;
    const seq = this.#own.get(id);
    if (seq !== undefined) {
      this.#refresh(this.#indexOf(seq), this.#indexOf(seq + 1));
    }
  }

  /** Nothing is on its way any more. */
  settledAll(): void {
    for (const id of [...this.#pending.keys()]) {
      this.settled(id);
    }
  }

  /** The partner has received or read more: only what lies between the cursors can look different. */
  partnerMoved(partner: PartnerCursors): void {
    const before = this.#partner;
    this.#partner = partner;
    this.#refreshBetween(before.delivered, partner.delivered);
    this.#refreshBetween(before.read, partner.read);
  }

  #refreshBetween(before: Position, now: Position): void {
    if (before.epoch === now.epoch) {
      const [from, to] = before.seq < now.seq ? [before.seq, now.seq] : [now.seq, before.seq];
      this.#refresh(this.#indexOf(from + 1), this.#indexOf(to + 1));
    } else {
      this.#refresh(0, this.#held.length); // Positions order by epoch first: any row may differ.
    }
  }

  /** Brings the status of the rows from index `from` to before `to` up to date. */
  #refresh(from: number, to: number): void {
    for (let index = from; index < to; index += 1) {
      const row = this.#held[index];
      if (row?.isMine && row.position !== null) {
        const status = this.#status(row.id, row.position);
        if (status !== row.status) {
          this.#held[index] = { ...row, status };
          this.#list = null;
        }
      }
    }
  }

  #makeList(): readonly ChatMessage[] {
    if (this.#pending.size === 0) {
      return this.#held.slice();
    }
    const pending = [...this.#pending.values()].filter(({ id }) => !this.#own.has(id));
    return this.#held.concat(pending);
  }

  #row({ position, member, clientMessageId: id, atMs, replyTo, body }: Message): ChatMessage {
    const isMine = member === this.#you;
    const status = isMine ? this.#status(id, position) : "acked";
    return { id, position, member, isMine, body, atMs, replyTo, status };
  }

  #status(id: ClientMessageId, position: Position): MessageStatus {
    const { read, delivered } = this.#partner;
    if (comparePosition(read, position) >= 0) {
      return "read";
    }
    if (comparePosition(delivered, position) >= 0) {
      return "delivered";
    }
    return this.#pending.has(id) ? "pending" : "acked";
  }
}
