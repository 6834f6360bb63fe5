/**
 * A place in a category's queue.
 *
 * @module
 */

import type { Chat } from "../chat/chat.js";
import { Emitter, type Unsubscribe } from "../emitter.js";
import { ClosedError, type NoWrongError } from "../error.js";
import type { TicketId } from "../generated/id.js";
import type { Stage, TicketState } from "../generated/queue.js";

/** How a ticket stands. */
export type TicketStatus = "waiting" | "matched" | "cancelled" | "ended";

/** What a ticket tells. */
export interface TicketEvents {
  /** It accepts more people now, or more of them wait. */
  change: Ticket;
}

/**
 * A place in a category's queue. It outlives lost connections, and restarts of the server.
 *
 * @example
 * const ticket = await connection.join("music");
 * ticket.on("change", () => show(ticket.stage));
 * const chat = await ticket.matched;
 */
export class Ticket {
  readonly #emitter = new Emitter<TicketEvents>();
  readonly #cancel: () => Promise<boolean>;
  #state: TicketState;
  #status: TicketStatus = "waiting";
  #settle: { resolve: (chat: Chat) => void; reject: (error: NoWrongError) => void } | null = null;

  /** The chat, once a partner is found; rejects when the ticket ends without one. */
  readonly matched: Promise<Chat>;

  private constructor(state: TicketState, cancel: () => Promise<boolean>) {
    this.#state = state;
    this.#cancel = cancel;
    this.matched = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever does not wait for it reads the status.
    this.matched.catch(() => undefined);
  }

  /**
   * For the queue: a ticket. `cancel` gives it up; it returns `false` when a match came first.
   *
   * @internal
   */
  static create(state: TicketState, cancel: () => Promise<boolean>): Ticket {
    return new Ticket(state, cancel);
  }

  /** Its id; a new one when the server had to queue the user again. */
  get id(): TicketId {
    return this.#state.ticket;
  }

  /** Id of the category. */
  get category(): string {
    return this.#state.category;
  }

  /** What it asks to talk about. */
  get interests(): readonly string[] {
    return this.#state.interests;
  }

  /** Whom it accepts by now. */
  get stage(): Stage {
    return this.#state.stage;
  }

  /** How many people wait in the category, this one included; as of the last word from the server. */
  get waiting(): number {
    return this.#state.waiting;
  }

  /** Since when the user waits, in milliseconds since the Unix epoch. */
  get sinceMs(): number {
    return this.#state.sinceMs;
  }

  /** How it stands. */
  get status(): TicketStatus {
    return this.#status;
  }

  /** Calls `listener` at each event called `name`, until the answer is called. */
  on<Name extends keyof TicketEvents>(
    name: Name,
    listener: (event: TicketEvents[Name]) => void,
  ): Unsubscribe {
    return this.#emitter.on(name, listener);
  }

  /** Stops waiting. Answers `false` when a match came first: {@link Ticket.matched} has the chat then. */
  async cancel(): Promise<boolean> {
    return this.#status === "waiting" ? this.#cancel() : this.#status !== "matched";
  }

  /** As {@link Ticket.cancel}. */
  async close(): Promise<void> {
    await this.cancel();
  }

  /** As {@link Ticket.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * For the queue: what the server says of it now.
   *
   * @internal
   */
  update(state: TicketState): void {
    this.#state = state;
    this.#emitter.emit("change", this);
  }

  /**
   * For the queue: it accepts more people now.
   *
   * @internal
   */
  widen(stage: Stage): void {
    this.update({ ...this.#state, stage });
  }

  /**
   * For the queue: a partner was found.
   *
   * @internal
   */
  match(chat: Chat): void {
    this.#finish("matched");
    this.#settle?.resolve(chat);
  }

  /**
   * For the queue: it ended without a match.
   *
   * @internal
   */
  end(error: NoWrongError | null): void {
    this.#finish(error === null ? "cancelled" : "ended");
    this.#settle?.reject(error ?? new ClosedError("The ticket was cancelled."));
  }

  #finish(status: TicketStatus): void {
    if (this.#status === "waiting") {
      this.#status = status;
      this.#emitter.emit("change", this);
    }
  }
}
