/**
 * Says so when the Content-Security-Policy of the page is why nothing could be reached.
 *
 * A page cannot tell a refusal by its policy from a network that is down: only a
 * `securitypolicyviolation` tells, and it may come after the failure.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { NetworkError } from "../error.js";

/** How much later than the failure the violation may come. Both are tasks of the same moment. */
const VIOLATION_WAIT_MS = 50;

/** Runs `attempt`, which connects to `url`. If the policy refuses `url`, it rejects with what to allow. */
export async function underPolicy<Result>(
  environment: Pick<Environment, "schedule" | "onPolicyViolation">,
  url: string,
  attempt: () => Promise<Result>,
): Promise<Result> {
  let isRefused = false;
  let told: () => void = () => undefined;
  const stop = environment.onPolicyViolation?.((refused) => {
    if (hostOf(refused) === hostOf(url)) {
      isRefused = true;
      told();
    }
  });
  if (stop === undefined) {
    return await attempt();
  }
  try {
    return await attempt();
  } catch (error) {
    if (!isRefused) {
      await new Promise<void>((resolve) => {
        const unschedule = environment.schedule(VIOLATION_WAIT_MS, resolve);
        told = () => {
          unschedule();
          resolve();
        };
      });
    }
    throw isRefused ? refusal(url, error) : error;
  } finally {
    stop();
  }
}

function refusal(url: string, cause: unknown): NetworkError {
  const { origin } = new URL(url);
  const message = `${origin} was refused by this page's Content-Security-Policy: add ${origin} to connect-src.`;
  return new NetworkError(message, { cause, isTemporary: false });
}

function hostOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).host : null;
}
