/**
 * The server's word that a proof of work is needed.
 *
 * @module
 */

import { RequestError, type RequestFailure } from "../error.js";
import { PROOF_SEARCHES, PROOF_WORK_MAX } from "../generated/limits.js";
import type { Challenge } from "./search.js";

/** A registration was refused with something to solve. */
export class ProofNeededError extends RequestError {
  /** What to solve. */
  readonly challenge: Challenge;

  constructor(failure: RequestFailure, challenge: Challenge) {
    super(failure);
    this.challenge = challenge;
  }
}

/** The challenge of a problem document; `null` when there is none that this version can solve. */
export function readChallenge(value: unknown): Challenge | null {
  if (typeof value !== "object" || value === null) {
    return null;
  }
  const { text, work, searches } = value as Record<string, unknown>;
  const isText = typeof text === "string" && /^[A-Za-z0-9_-]{46}$/.test(text);
  const isWork = typeof work === "number" && Number.isInteger(work) && work >= 1 && work <= PROOF_WORK_MAX;
  return isText && isWork && searches === PROOF_SEARCHES ? { text, work } : null;
}
