/**
 * Finds the proof of work that a server asks for: in a worker, or where there is none in short slices.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { type Challenge, Search } from "./search.js";
import type { Progress, Task } from "./worker.js";

/** Called with how much of the proof is found, from 0 to 1. */
export type OnProgress = (share: number) => void;

/** How long a slice holds up the page: less than a frame. */
const SLICE_MS = 8;

/** The text of a proof for this challenge and this `Idempotency-Key`. */
export async function solve(
  challenge: Challenge,
  key: string,
  environment: Environment,
  onProgress: OnProgress,
): Promise<string> {
  onProgress(0);
  const proof =
    (await inWorker({ challenge, key }, onProgress)) ??
    (await inSlices({ challenge, key }, environment, onProgress));
  onProgress(1);
  return proof;
}

/** `null` where no worker starts: the platform has none, the page's policy forbids it, or a bundler has lost its file. */
function inWorker(task: Task, onProgress: OnProgress): Promise<string | null> {
  return new Promise((resolve) => {
    const worker = start();
    if (worker === null) {
      resolve(null);
      return;
    }
    const end = (proof: string | null) => {
      worker.terminate();
      resolve(proof);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      end(null);
    };
    worker.onmessage = ({ data: { share, proof } }: MessageEvent<Progress>) => {
      if (proof === null) {
        onProgress(share);
      } else {
        end(proof);
      }
    };
    worker.postMessage(task);
  });
}

function start(): Worker | null {
  if (typeof globalThis.Worker !== "function") {
    return null;
  }
  try {
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  } catch {
    return null;
  }
}

async function inSlices(task: Task, environment: Environment, onProgress: OnProgress): Promise<string> {
  const search = new Search(task.challenge, task.key);
  for (;;) {
    const endAtMs = environment.monotonicNow() + SLICE_MS;
    do {
      const proof = search.step();
      if (proof !== null) {
        return proof;
      }
    } while (environment.monotonicNow() < endAtMs);
    onProgress(search.share);
    await new Promise<void>((resolve) => {
      environment.schedule(0, resolve);
    });
  }
}
