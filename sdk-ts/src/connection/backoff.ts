/**
 * The wait before the next attempt: exponential, with full jitter, so that the clients of a lost server
 * do not all come back at once.
 *
 * @module
 */

/** Upper bound of the first wait; its mean is half of this. */
const BASE_MS = 500;

/** Upper bound of all waits: a server that is back is found within half a minute. */
const CAP_MS = 30_000;

/** A connection that lasted this long was a success: the waits start over. */
const HEALTHY_MS = 5_000;

/** Waits that grow with each failure. */
export class Backoff {
  #failures = 0;
  #openedAt: number | null = null;

  /** A connection opened. */
  opened(now: number): void {
    this.#openedAt = now;
  }

  /** A connection was lost or could not be opened. `random` is in `[0, 1)`. Returns the wait in milliseconds. */
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
