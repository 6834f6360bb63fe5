/**
 * One timer for all deadlines of a connection: those of its requests, and of the conversations on its
 * links.
 *
 * Most deadlines are moved or cancelled long before they are due. So the timer is set again only when it
 * must ring earlier. When it rings before anything is due, it is set for the next deadline.
 *
 * @module
 */

import { Turn } from "../emitter.js";
import type { Environment } from "../environment.js";

/** One deadline. Made by {@link Alarm.deadline}. */
export interface Deadline {
  /** When it is due, in milliseconds of the monotonic time; `null` while it is not set. */
  readonly dueAtMs: number | null;
  /** Sets when it is due; `null` cancels it. */
  set(dueAtMs: number | null): void;
}

/** One timer for all deadlines of a connection. */
export class Alarm {
  readonly #environment: Pick<Environment, "monotonicNow" | "schedule">;
  readonly #turn: Turn;
  /** The deadlines that are set. */
  readonly #set = new Set<Entry>();
  #ringsAtMs = Number.POSITIVE_INFINITY;
  #cancel: () => void = () => undefined;

  /** What is due is done in a step of `turn`. */
  constructor(environment: Pick<Environment, "monotonicNow" | "schedule">, turn: Turn = new Turn()) {
    this.#environment = environment;
    this.#turn = turn;
  }

  /** Makes a deadline, which is not set yet. `ring` is called when it is due, and may set it again. */
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

  /** Stops the timer when no deadline is set; else makes sure that it rings early enough. */
  #adjust(): void {
    const next = this.#next();
    if (next === Number.POSITIVE_INFINITY) {
      this.#stop();
    } else if (next < this.#ringsAtMs) {
      this.#stop();
      this.#ringsAtMs = next;
      const delayMs = Math.max(0, next - this.#environment.monotonicNow());
      this.#cancel = this.#environment.schedule(delayMs, () => this.#turn.run(() => this.#ring()));
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
    // No timer is set in this loop, since one `ring` may set or cancel several deadlines.
    this.#ringsAtMs = Number.NEGATIVE_INFINITY;
    const now = this.#environment.monotonicNow();
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
