/**
 * Requests that wait for their reply: who asked, and until when.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import {
  ConnectionClosedError,
  type NoWrongError,
  QueueFullError,
  RequestError,
  TimeoutError,
} from "../error.js";
import type { ServerFrame } from "../generated/frame.js";
import { REPLY_DEADLINE_MS } from "../generated/limits.js";

/** A reply that is not a failure. */
export type Reply = Extract<ServerFrame, { readonly kind: "done" | "queued" | "ack" | "page" }>;

/** Called once: with the reply, or with why there is none. */
export type Settle = (reply: Reply | null, error: NoWrongError | null) => void;

/** Requests without a reply at a time, sends included; further ones fail at once. */
const REQUESTS_MAX = 256;

/** A reply that takes longer than this makes one ask whether the server is there at all. */
const SLOW_REPLY_MS = 4_000;

interface Pending {
  readonly settle: Settle;
  readonly unschedule: () => void;
}

/** The requests of one connection. */
export class Requests {
  readonly #environment: Environment;
  readonly #pending = new Map<number, Pending>();
  readonly #slow: () => void;
  #last = 0;

  /** `slow` is called when a reply takes suspiciously long. */
  constructor(environment: Environment, slow: () => void) {
    this.#environment = environment;
    this.#slow = slow;
  }

  /** Registers a request; answers its id. A reply that does not come in 15 s is a {@link TimeoutError}. */
  open(settle: Settle): number {
    if (this.#pending.size >= REQUESTS_MAX) {
      throw new QueueFullError("Too many requests wait for their replies.");
    }
    this.#last = (this.#last + 1) >>> 0;
    const request = this.#last;
    const fail = () => this.#settle(request, null, new TimeoutError("No reply came in time."));
    const cancels = [
      this.#environment.schedule(SLOW_REPLY_MS, this.#slow),
      this.#environment.schedule(REPLY_DEADLINE_MS, fail),
    ];
    const unschedule = () => {
      for (const cancel of cancels) {
        cancel();
      }
    };
    this.#pending.set(request, { settle, unschedule });
    return request;
  }

  /** Takes `frame` if it is a reply; answers whether it was. */
  handle(frame: ServerFrame): boolean {
    switch (frame.kind) {
      case "done":
      case "queued":
      case "ack":
      case "page":
        this.#settle(frame.request, frame, null);
        return true;
      case "fail":
        this.#settle(frame.request, null, new RequestError(frame));
        return true;
      default:
        return false;
    }
  }

  /** The link is lost: no reply will come over it. */
  lose(error: NoWrongError = new ConnectionClosedError(null)): void {
    for (const request of [...this.#pending.keys()]) {
      this.#settle(request, null, error);
    }
  }

  #settle(request: number, reply: Reply | null, error: NoWrongError | null): void {
    const pending = this.#pending.get(request);
    if (pending !== undefined) {
      this.#pending.delete(request);
      pending.unschedule();
      pending.settle(reply, error);
    }
  }
}
