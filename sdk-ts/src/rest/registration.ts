/**
 * Sends a registration until its outcome is known, under a key that makes one account of all attempts.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { NetworkError, NoWrongError, RequestError, TimeoutError } from "../error.js";
import { ErrorCode } from "../generated/code.js";
import { REPLY_DEADLINE_MS } from "../generated/limits.js";

/** Random bytes of a key. */
const KEY_BYTES = 24;

/** Pause before the second attempt; it doubles with each further one. */
const PAUSE_MS = 500;

/**
 * The last attempt begins at most this long after the first: a little longer than one attempt takes, so that one
 * that gets no answer at all is repeated once, and all of it ends within twice this time.
 */
const LAST_ATTEMPT_MS = REPLY_DEADLINE_MS + 1_000;

/**
 * The registration that was begun last and has no known outcome: the person will press the button again, and
 * must get the account that the first attempt may have made. Only one, because only one form is filled in at a time.
 */
let pending: { readonly request: string; readonly key: string } | null = null;

/**
 * Calls `attempt` with a key until it succeeds, is refused, or takes too long. `request` is all that the server is
 * told: the same request gets the same key again, unless the one before has succeeded or was refused.
 *
 * @throws the error of the last attempt.
 */
export async function sendUntilKnown<Reply>(
  request: string,
  environment: Environment,
  attempt: (key: string) => Promise<Reply>,
): Promise<Reply> {
  if (pending?.request !== request) {
    pending = { request, key: newKey(environment) };
  }
  const { key } = pending;
  try {
    const reply = await repeat(environment, () => attempt(key));
    forget(key);
    return reply;
  } catch (error) {
    if (!isUnknown(error)) {
      forget(key);
    }
    throw error;
  }
}

async function repeat<Reply>(environment: Environment, attempt: () => Promise<Reply>): Promise<Reply> {
  const lastAtMs = environment.monotonicNow() + LAST_ATTEMPT_MS;
  for (let pauseMs = PAUSE_MS; ; pauseMs *= 2) {
    try {
      return await attempt();
    } catch (error) {
      const waitMs = error instanceof NoWrongError ? Math.max(pauseMs, error.retryAfterMs) : 0;
      const isTooLate = environment.monotonicNow() + waitMs > lastAtMs;
      if (!isUnknown(error) || isTooLate) {
        throw error;
      }
      await new Promise<void>((resolve) => {
        environment.schedule(waitMs, resolve);
      });
    }
  }
}

/** Whether the server may have made the account, or will make it in a moment. */
function isUnknown(error: unknown): boolean {
  if (error instanceof RequestError) {
    return error.isTemporary && error.code !== ErrorCode.RATE_LIMITED;
  }
  // What the page's own policy refused never left the page.
  return (error instanceof NetworkError && error.isTemporary) || error instanceof TimeoutError;
}

function newKey(environment: Environment): string {
  return btoa(String.fromCharCode(...environment.randomBytes(KEY_BYTES)));
}

function forget(key: string): void {
  if (pending?.key === key) {
    pending = null;
  }
}
