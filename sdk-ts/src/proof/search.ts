/**
 * The search for the numbers of a proof of work: SPEC §2, "Proof of work". Stops and goes on at any number, so that
 * it can run beside other work.
 *
 * @module
 */

import { PROOF_SEARCHES } from "../generated/limits.js";
import { digest } from "./scrypt.js";

/** What the server asks for, in the problem `PROOF_NEEDED`. */
export interface Challenge {
  /** The challenge, as it is sent back. */
  readonly text: string;
  /** How many numbers have to be tried for each one that is found, on average. */
  readonly work: number;
}

/** A search for the numbers of one proof. */
export class Search {
  readonly #challenge: Challenge;
  readonly #salt: Uint8Array;
  readonly #found: number[] = [];
  #next = 0;

  /** `key` is the `Idempotency-Key` of the registration. */
  constructor(challenge: Challenge, key: string) {
    this.#challenge = challenge;
    const bytes = fromBase64Url(challenge.text);
    this.#salt = new Uint8Array(bytes.length + key.length + 1);
    this.#salt.set(bytes);
    this.#salt.set(new TextEncoder().encode(key), bytes.length);
  }

  /** How much is done, from 0 to 1, as far as chance lets one say. Never goes back. */
  get share(): number {
    const current =
      this.#found.length < PROOF_SEARCHES ? 1 - Math.exp(-this.#next / this.#challenge.work) : 0;
    return (this.#found.length + current) / PROOF_SEARCHES;
  }

  /** Tries the next number. Returns the text of the proof when it was the last one that was missing. */
  step(): string | null {
    const search = this.#found.length;
    this.#salt[this.#salt.length - 1] = search;
    const isFound = digest(this.#next, this.#salt) <= Math.floor(0xffff_ffff / this.#challenge.work);
    if (!isFound) {
      this.#next++;
      return null;
    }
    this.#found.push(this.#next);
    this.#next = 0;
    return this.#found.length < PROOF_SEARCHES ? null : this.#proof();
  }

  #proof(): string {
    const numbers = new DataView(new ArrayBuffer(4 * PROOF_SEARCHES));
    this.#found.forEach((number, index) => {
      numbers.setUint32(4 * index, number);
    });
    return `${this.#challenge.text}.${toBase64Url(new Uint8Array(numbers.buffer))}`;
  }
}

function fromBase64Url(text: string): Uint8Array {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
