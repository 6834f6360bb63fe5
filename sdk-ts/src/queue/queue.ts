/**
 * Waiting for a partner. What the user asked for survives lost links and restarts of the server.
 *
 * @module
 */

import type { Chat } from "../chat/chat.js";
import type { Port } from "../connection/port.js";
import type { Reply } from "../connection/requests.js";
import { ClosedError, type NoWrongError, RequestError, TimeoutError } from "../error.js";
import { ErrorCode } from "../generated/code.js";
import type { ClientFrame } from "../generated/frame.js";
import type { Matched, TicketEnded, TicketState, Widened } from "../generated/queue.js";
import { Ticket } from "./ticket.js";

/** Wait before asking for a place in the queue again, when the server names no time. */
const RETRY_MS = 1_000;

/** A wish of the user: to wait in a category. */
interface Wish {
  readonly category: string;
  readonly interests: readonly string[];
  /** The chat that ends in the same step; `null` once it has ended, or when there is none. */
  leaving: Chat | null;
  /** The handle, once the user is queued. */
  ticket: Ticket | null;
  isCancelled: boolean;
  readonly resolve: (ticket: Ticket) => void;
  readonly reject: (error: NoWrongError) => void;
}

/** The place of one user in a queue. A user has one at most. */
export class Queue {
  readonly #port: Port;
  #wish: Wish | null = null;
  #cancelRetry: () => void = () => undefined;

  constructor(port: Port) {
    this.#port = port;
  }

  /** The ticket, while the user waits. */
  get ticket(): Ticket | null {
    return this.#wish?.ticket ?? null;
  }

  /** Waits in a category; with `leaving`, ends that chat in the same step. */
  join(category: string, interests: readonly string[], leaving: Chat | null = null): Promise<Ticket> {
    if (this.#wish !== null) {
      return Promise.reject(new RequestError({ code: ErrorCode.ALREADY_QUEUED }));
    }
    return new Promise((resolve, reject) => {
      this.#wish = { category, interests, leaving, ticket: null, isCancelled: false, resolve, reject };
      this.#ask(this.#wish);
    });
  }

  /** The connection is open, and `ticket` is what the server knows. Returns a ticket that was not asked for here. */
  welcome(ticket: TicketState | null): Ticket | null {
    const wish = this.#wish;
    if (ticket !== null) {
      return wish === null ? this.#restore(ticket) : this.#queued(wish, ticket);
    }
    if (wish?.isCancelled) {
      this.#end(null);
    } else if (wish !== null) {
      this.#ask(wish);
    }
    return null;
  }

  /** A chat has opened. Unless it is the one that is being left, it is the match. */
  opened(chat: Chat): void {
    const wish = this.#wish;
    if (wish !== null && wish.leaving?.id === chat.id) {
      wish.leaving = chat; // The first handle was closed; this is a new one for the same chat.
    } else if (wish !== null) {
      this.#forget();
      const ticket = wish.ticket ?? this.#newTicket(wish, blankTicket(wish));
      wish.leaving?.leftByUser();
      wish.resolve(ticket);
      ticket.match(chat);
    }
  }

  /** A frame about the ticket. The connection handles `matched`, since it opens the chat. */
  handle(frame: Widened | TicketEnded): void {
    const wish = this.#wish;
    if (wish === null || wish.ticket?.id !== frame.ticket) {
      return;
    }
    if (frame.kind === "widened") {
      wish.ticket.widen(frame.stage);
    } else {
      this.#refused(wish, new RequestError({ code: frame.code }));
    }
  }

  /** The connection is closed: the wish ends with `error`. */
  close(error: NoWrongError): void {
    this.#end(error);
  }

  #ask(wish: Wish): void {
    this.#cancelRetry();
    if (this.#port.isReady) {
      this.#port.request(
        (request) => askFrame(wish, request),
        (reply, error) => this.#settle(wish, reply, error),
      );
    }
  }

  #settle(wish: Wish, reply: Reply | null, error: NoWrongError | null): void {
    if (this.#wish !== wish) {
      return;
    }
    if (reply?.kind === "queued") {
      this.#queued(wish, reply.ticket);
    } else if (error instanceof RequestError) {
      this.#refused(wish, error);
    } else if (error instanceof TimeoutError) {
      this.#end(error);
    }
  }

  #refused(wish: Wish, error: RequestError): void {
    const isLeft = error.code === ErrorCode.CHAT_ENDED || error.code === ErrorCode.CHAT_UNKNOWN;
    if (wish.leaving !== null && isLeft) {
      wish.leaving.leftByUser();
      wish.leaving = null;
      this.#ask(wish);
    } else if (wish.ticket !== null && error.isTemporary) {
      const waitMs = Math.max(error.retryAfterMs, RETRY_MS);
      this.#cancelRetry = this.#port.environment.schedule(waitMs, () => this.#ask(wish));
    } else {
      this.#end(error);
    }
  }

  #queued(wish: Wish, state: TicketState): null {
    wish.leaving?.leftByUser();
    wish.leaving = null;
    if (wish.ticket === null) {
      wish.ticket = this.#newTicket(wish, state);
      wish.resolve(wish.ticket);
    } else {
      wish.ticket.update(state);
    }
    return null;
  }

  #restore(state: TicketState): Ticket {
    const { category, interests } = state;
    const nobody = () => undefined;
    const rest = { leaving: null, isCancelled: false, resolve: nobody, reject: nobody };
    const wish: Wish = { category, interests, ticket: null, ...rest };
    wish.ticket = this.#newTicket(wish, state);
    this.#wish = wish;
    return wish.ticket;
  }

  #newTicket(wish: Wish, state: TicketState): Ticket {
    const ticket: Ticket = Ticket.create(state, () => this.#cancel(wish, ticket), this.#port.turn);
    return ticket;
  }

  async #cancel(wish: Wish, ticket: Ticket): Promise<boolean> {
    wish.isCancelled = true;
    try {
      await this.#port.perform((request) => ({ kind: "cancel", request, ticket: ticket.id }));
    } catch (error) {
      const isUnknown = error instanceof RequestError && error.code === ErrorCode.TICKET_UNKNOWN;
      if (!isUnknown) {
        wish.isCancelled = false;
        throw error;
      }
      // A match came first; or a restart of the server lost the ticket, and `welcome` has ended it.
      return ticket.status === "cancelled";
    }
    if (this.#wish === wish) {
      this.#end(null);
    }
    return true;
  }

  #end(error: NoWrongError | null): void {
    const wish = this.#wish;
    this.#forget();
    this.#port.turn.run(() => {
      wish?.reject(error ?? new ClosedError("The ticket was cancelled."));
      wish?.ticket?.end(error);
    });
  }

  #forget(): void {
    this.#cancelRetry();
    this.#wish = null;
  }
}

function askFrame(wish: Wish, request: number): ClientFrame {
  const { category, interests, leaving } = wish;
  return leaving === null
    ? { kind: "join", request, category, interests }
    : { kind: "next", request, chat: leaving.id };
}

/** The ticket of a match that came before the reply to the request. */
function blankTicket({ category, interests }: Wish): TicketState {
  const id: Matched["ticket"] = "00000000-0000-0000-0000-000000000000";
  return { ticket: id, category, interests, sinceMs: 0, stage: "interests", waiting: 0 };
}
