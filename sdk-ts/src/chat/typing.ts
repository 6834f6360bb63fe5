/**
 * Who types: signals that lapse by themselves, in both directions.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { TYPING_LIFETIME_MS } from "../generated/limits.js";

/** A signal is repeated after this share of its life, so that one may be lost. */
const REPEAT_AFTER_MS = TYPING_LIFETIME_MS / 2;

/** Members who type; each for 5 s after the last signal. */
export class TypingMembers {
  readonly #environment: Environment;
  readonly #changed: (member: number, isTyping: boolean) => void;
  readonly #lapses = new Map<number, () => void>();

  constructor(environment: Environment, changed: (member: number, isTyping: boolean) => void) {
    this.#environment = environment;
    this.#changed = changed;
  }

  /** Whether `member` types. */
  has(member: number): boolean {
    return this.#lapses.has(member);
  }

  /** A signal came, or its sender did what ends typing. */
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

  /** Nobody types any more. */
  clear(): void {
    for (const member of [...this.#lapses.keys()]) {
      this.signal(member, false);
    }
  }
}

/** Decides when one's own typing is worth a signal. Pure. */
export class OwnTyping {
  #sentAtMs: number | null = null;

  /** The user types, or stopped; answers whether to send that. */
  next(isTyping: boolean, nowMs: number): boolean {
    const isStale = this.#sentAtMs === null || nowMs - this.#sentAtMs >= REPEAT_AFTER_MS;
    const isWorth = isTyping ? isStale : this.#sentAtMs !== null;
    if (isWorth) {
      this.#sentAtMs = isTyping ? nowMs : null;
    }
    return isWorth;
  }

  /** A message was sent: it ends the typing by itself. */
  reset(): void {
    this.#sentAtMs = null;
  }
}
