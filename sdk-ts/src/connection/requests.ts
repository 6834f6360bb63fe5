/**
 * Requests that wait for a reply: what to call with it, and until when.
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
import type { Alarm, Deadline } from "./alarm.js";

/** A reply that is not a failure. */
export type Reply = Extract<ServerFrame, { readonly kind: "done" | "queued" | "ack" | "page" }>;

/** Called once: with the reply, or with the error that took its place. */
export type Settle = (reply: Reply | null, error: NoWrongError | null) => void;

/** The most requests without a reply at a time, sends included; more fail at once. */
const REQUESTS_MAX = 256;

/** A reply that takes longer than this is suspicious: the connection checks whether the server is there. */
const LATE_REPLY_MS = 4_000;

interface Pending {
  readonly settle: Settle;
  readonly openedAtMs: number;
  /** Whether it was reported as late. */
  isLate: boolean;
}

/** The requests of one connection. */
export class Requests {
  readonly #environment: Pick<Environment, "monotonicNow">;
  /** By id, the oldest first, which is the order in which they are due. */
  readonly #pending = new Map<number, Pending>();
  readonly #late: () => void;
  /** Due when the oldest request is late or overdue, or earlier. */
  readonly #deadline: Deadline;
  #last = 0;

  /** `late` is called when a reply takes suspiciously long. */
  constructor(environment: Pick<Environment, "monotonicNow">, alarm: Alarm, late: () => void) {
    this.#environment = environment;
    this.#late = late;
    this.#deadline = alarm.deadline((nowMs) => this.#handleTimeout(nowMs));
  }

  /** Registers a request; returns its id. A reply that does not come in 15 s is a {@link TimeoutError}. */
  open(settle: Settle): number {
    if (this.#pending.size >= REQUESTS_MAX) {
      throw new QueueFullError("Too many requests wait for their replies.");
    }
    this.#last = (this.#last + 1) >>> 0;
    const openedAtMs = this.#environment.monotonicNow();
    this.#pending.set(this.#last, { settle, openedAtMs, isLate: false });
    // If there are older requests, an earlier deadline is set already.
    if (this.#deadline.dueAtMs === null) {
      this.#deadline.set(openedAtMs + LATE_REPLY_MS);
    }
    return this.#last;
  }

  /** Handles `frame` if it is a reply; returns whether it is. */
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

  /** The link is lost: every request fails with `error`. */
  lose(error: NoWrongError = new ConnectionClosedError(null)): void {
    for (const request of [...this.#pending.keys()]) {
      this.#settle(request, null, error);
    }
  }

  #settle(request: number, reply: Reply | null, error: NoWrongError | null): void {
    const pending = this.#pending.get(request);
    if (pending !== undefined) {
      this.#pending.delete(request);
      if (this.#pending.size === 0) {
        this.#deadline.set(null);
      }
      pending.settle(reply, error);
    }
  }

  #handleTimeout(nowMs: number): void {
    // One that fails may make others fail, which are then no longer in the map.
    for (const [request, pending] of this.#pending) {
      if (pending.openedAtMs + REPLY_DEADLINE_MS <= nowMs) {
        this.#settle(request, null, new TimeoutError("No reply came in time."));
      } else if (!pending.isLate && pending.openedAtMs + LATE_REPLY_MS <= nowMs) {
        pending.isLate = true;
        this.#late();
      }
    }
    const dueAtMs = [...this.#pending.values()].map(
      ({ openedAtMs, isLate }) => openedAtMs + (isLate ? REPLY_DEADLINE_MS : LATE_REPLY_MS),
    );
    this.#deadline.set(dueAtMs.length === 0 ? null : Math.min(...dueAtMs));
  }
}
