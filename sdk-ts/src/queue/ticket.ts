/**
 * A place in a category's queue.
 *
 * @module
 */

import type { Chat } from "../chat/chat.js";
import { Emitter, type Turn, type Unsubscribe } from "../emitter.js";
import { ClosedError, type NoWrongError } from "../error.js";
import type { TicketId } from "../generated/id.js";
import type { Stage, TicketState } from "../generated/queue.js";

/** The state of a ticket. */
export type TicketStatus = "waiting" | "matched" | "cancelled" | "ended";

/** The events of a ticket. */
export interface TicketEvents {
  /** Its state has changed: it accepts more people, it was queued again, or it has ended. */
  change: Ticket;
}

/**
 * A place in a category's queue. It survives lost connections and restarts of the server.
 *
 * @example
 * const ticket = await connection.join("music");
 * ticket.on("change", () => show(ticket.stage));
 * const chat = await ticket.matched;
 */
export class Ticket {
  readonly #emitter: Emitter<TicketEvents>;
  readonly #cancel: () => Promise<boolean>;
  #state: TicketState;
  #status: TicketStatus = "waiting";
  #settle: { resolve: (chat: Chat) => void; reject: (error: NoWrongError) => void } | null = null;

  /** The chat, once a partner is found; rejects when the ticket ends without one. */
  readonly matched: Promise<Chat>;

  private constructor(state: TicketState, cancel: () => Promise<boolean>, turn?: Turn) {
    this.#emitter = new Emitter(turn);
    this.#state = state;
    this.#cancel = cancel;
    this.matched = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // An application that does not wait for it reads the status instead.
    this.matched.catch(() => undefined);
  }

  /**
   * For the queue: a ticket. `cancel` gives it up; it returns `false` when a match came first.
   *
   * @internal
   */
  static create(state: TicketState, cancel: () => Promise<boolean>, turn?: Turn): Ticket {
    return new Ticket(state, cancel, turn);
  }

  /** Its id. It changes when the server had to queue the user again. */
  get id(): TicketId {
    return this.#state.ticket;
  }

  /** Id of the category. */
  get category(): string {
    return this.#state.category;
  }

  /** The interests that it asks for. */
  get interests(): readonly string[] {
    return this.#state.interests;
  }

  /** Who it accepts as a partner at present. */
  get stage(): Stage {
    return this.#state.stage;
  }

  /** How many people wait in the category, this user included, as last reported by the server. */
  get waiting(): number {
    return this.#state.waiting;
  }

  /** Since when the user waits, in milliseconds since the Unix epoch. */
  get sinceMs(): number {
    return this.#state.sinceMs;
  }

  /** Its state. */
  get status(): TicketStatus {
    return this.#status;
  }

  /** Calls `listener` for each event called `name`, until the returned function is called. */
  on<Name extends keyof TicketEvents>(
    name: Name,
    listener: (event: TicketEvents[Name]) => void,
  ): Unsubscribe {
    return this.#emitter.on(name, listener);
  }

  /** Stops waiting. Returns `false` when a match came first: then {@link Ticket.matched} has the chat. */
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
   * For the queue: the server reports its state.
   *
   * @internal
   */
  update(state: TicketState): void {
    this.#state = state;
    this.#emitter.emit("change", this);
  }

  /**
   * For the queue: it accepts more people.
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
