/**
 * Typing signals, in both directions. They expire by themselves.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { TYPING_LIFETIME_MS } from "../generated/limits.js";

/** A signal is repeated after half of its lifetime, so that one may be lost. */
const REPEAT_AFTER_MS = TYPING_LIFETIME_MS / 2;

/** The members that are typing: each for 5 s after the last signal. */
export class TypingMembers {
  readonly #environment: Environment;
  readonly #changed: (member: number, isTyping: boolean) => void;
  readonly #lapses = new Map<number, () => void>();

  constructor(environment: Environment, changed: (member: number, isTyping: boolean) => void) {
    this.#environment = environment;
    this.#changed = changed;
  }

  /** Whether `member` is typing. */
  has(member: number): boolean {
    return this.#lapses.has(member);
  }

  /** A signal came, or the member did something that ends typing. */
  signal(member: number, isTyping: boolean): void {
    const wasTyping = this.#lapses.has(member);
    this.#lapses.get(member)?.();
    this.#lapses.delete(member);
    if (isTyping) {
      const lapse = this.#environment.schedule(TYPING_LIFETIME_MS, () => this.signal(member, false));
      this.#lapses.set(member, lapse);
    }
    if (wasTyping !== isTyping) {
      this.#changed(member, isTyping);
    }
  }

  /** All members have stopped typing. */
  clear(): void {
    for (const member of [...this.#lapses.keys()]) {
      this.signal(member, false);
    }
  }
}

/** Decides when the typing of the user is worth a signal. Pure. */
export class OwnTyping {
  #sentAtMs: number | null = null;

  /** The user is typing, or has stopped. Returns whether to send a signal. */
  next(isTyping: boolean, nowMs: number): boolean {
    const isStale = this.#sentAtMs === null || nowMs - this.#sentAtMs >= REPEAT_AFTER_MS;
    const isWorth = isTyping ? isStale : this.#sentAtMs !== null;
    if (isWorth) {
      this.#sentAtMs = isTyping ? nowMs : null;
    }
    return isWorth;
  }

  /** A message was sent, which ends the typing without a signal. */
  reset(): void {
    this.#sentAtMs = null;
  }
}
