/**
 * How long to wait before the next attempt: exponential, with full jitter, so that a crowd that lost
 * its server does not come back as one.
 *
 * @module
 */

/** Mean of the first wait is half of this. */
const BASE_MS = 500;

/** Longest wait. */
const CAP_MS = 30_000;

/** A connection that lived this long was a success: the next wait starts over. */
const HEALTHY_MS = 5_000;

/** Waits that grow with each failure. */
export class Backoff {
  #failures = 0;
  #openedAt: number | null = null;

  /** A connection opened. */
  opened(now: number): void {
    this.#openedAt = now;
  }

  /** A connection was lost or could not be opened. `random` is in `[0, 1)`. Answers the wait in milliseconds. */
  next(now: number, random: number, retryAfterMs = 0): number {
    if (this.#openedAt !== null && now - this.#openedAt >= HEALTHY_MS) {
      this.#failures = 0;
    }
    this.#openedAt = null;
    const span = Math.min(CAP_MS, BASE_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    return retryAfterMs + random * span;
  }
}
