/**
 * The messages of a chat as they are shown. Pure.
 *
 * There is one row for each message of the log, in the same order, followed by the messages without an
 * ack. A row stays the same object while its message does not change, so that a page redraws only what
 * differs, and a change of one message makes one new row. A new list is made only when it is read.
 *
 * @module
 */

import type { Message } from "../generated/chat.js";
import type { ClientMessageId } from "../generated/id.js";
import { comparePosition, type Position } from "../generated/position.js";
import type { LogWatcher } from "./log.js";
import type { Unacked } from "./outbox.js";
import type { ChatMessage, MessageStatus } from "./view.js";

/** How far the partner is, which decides the status of the messages of the user. */
export interface PartnerCursors {
  /** Up to where the partner has received. */
  readonly delivered: Position;
  /** Up to where the partner has read. */
  readonly read: Position;
}

/** The rows of one chat. */
export class Rows implements LogWatcher {
  readonly #you: number;
  readonly #indexOf: (seq: number) => number;
  #partner: PartnerCursors;
  /** One for each message of the log, at the same index. */
  readonly #held: ChatMessage[] = [];
  /** The `seq` of each message of the user in the log. */
  readonly #own = new Map<ClientMessageId, number>();
  /** Those without an ack, in the order of writing; their messages may be in the log already. */
  readonly #pending = new Map<ClientMessageId, ChatMessage>();
  #list: readonly ChatMessage[] | null = [];

  /** `you` is the index of the user among the members; `indexOf` returns the index of a seq in the log. */
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

  /** The status of a message of the user. */
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

  /** The user has written a message. */
  wrote({ clientMessageId: id, body, replyTo, atMs }: Unacked): void {
    const mine = { member: this.#you, isMine: true, status: "pending" } as const;
    this.#pending.set(id, { id, position: null, ...mine, body, atMs, replyTo });
    this.#list = null;
  }

  /** A message has left the outbox: it was acked, refused, or given up. */
  settled(id: ClientMessageId): void {
    this.#pending.delete(id);
    this.#list = null;
    const seq = this.#own.get(id);
    if (seq !== undefined) {
      this.#refresh(this.#indexOf(seq), this.#indexOf(seq + 1));
    }
  }

  /** The cursors of the partner have moved: only rows between the old and the new ones can change. */
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
      this.#refresh(0, this.#held.length); // Positions are ordered by epoch first: any row may change.
    }
  }

  /** Updates the status of the rows from index `from` up to, but not including, `to`. */
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
