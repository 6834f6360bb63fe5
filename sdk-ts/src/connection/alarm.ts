/**
 * One timer for every deadline of a connection: of its requests, and of the conversations on its links.
 *
 * Most deadlines are moved on or met long before they are due. So the timer is set again only when it
 * must ring earlier; when it rings before anything is due, it is set for what is due next.
 *
 * @module
 */

import type { Environment } from "../environment.js";

/** One deadline. Made by {@link Alarm.deadline}. */
export interface Deadline {
  /** When it is due, in milliseconds since the Unix epoch; `null` while nothing is awaited. */
  readonly dueAtMs: number | null;
  /** Sets when it is due; `null` takes it back. */
  set(dueAtMs: number | null): void;
}

/** One timer for every deadline of a connection. */
export class Alarm {
  readonly #environment: Pick<Environment, "now" | "schedule">;
  /** Those that are set. */
  readonly #set = new Set<Entry>();
  #ringsAtMs = Number.POSITIVE_INFINITY;
  #cancel: () => void = () => undefined;

  constructor(environment: Pick<Environment, "now" | "schedule">) {
    this.#environment = environment;
  }

  /** A deadline that is not set. `ring` is called when it is due; it may set it again. */
  deadline(ring: (nowMs: number) => void): Deadline {
    const entry: Entry = {
      dueAtMs: null,
      ring,
      set: (dueAtMs) => {
        entry.dueAtMs = dueAtMs;
        if (dueAtMs === null) {
          this.#set.delete(entry);
        } else {
          this.#set.add(entry);
        }
        this.#adjust();
      },
    };
    return entry;
  }

  /** Without a deadline there is no timer; with one, it rings no later than that. */
  #adjust(): void {
    const next = this.#next();
    if (next === Number.POSITIVE_INFINITY) {
      this.#stop();
    } else if (next < this.#ringsAtMs) {
      this.#stop();
      this.#ringsAtMs = next;
      const delayMs = Math.max(0, next - this.#environment.now());
      this.#cancel = this.#environment.schedule(delayMs, () => this.#ring());
    }
  }

  #next(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueAtMs } of this.#set) {
      next = Math.min(next, dueAtMs ?? next);
    }
    return next;
  }

  #stop(): void {
    this.#cancel();
    this.#ringsAtMs = Number.POSITIVE_INFINITY;
  }

  #ring(): void {
    // No timer is set while it rings: those that ring now may set each other.
    this.#ringsAtMs = Number.NEGATIVE_INFINITY;
    const now = this.#environment.now();
    try {
      for (const entry of [...this.#set]) {
        if (entry.dueAtMs !== null && entry.dueAtMs <= now) {
          entry.ring(now);
        }
      }
    } finally {
      this.#ringsAtMs = Number.POSITIVE_INFINITY;
      this.#adjust();
    }
  }
}

interface Entry extends Deadline {
  dueAtMs: number | null;
  readonly ring: (nowMs: number) => void;
}
