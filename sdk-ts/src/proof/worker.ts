/**
 * The worker that searches for a proof of work, so that the page stays quick. It gets one {@link Task} and posts
 * {@link Progress} until the proof is there.
 *
 * @module
 */

import { type Challenge, Search } from "./search.js";

/** What the worker is told. */
export interface Task {
  readonly challenge: Challenge;
  readonly key: string;
}

/** What the worker tells: how much is done, and the proof at the end. */
export interface Progress {
  readonly share: number;
  readonly proof: string | null;
}

/** How often progress is told. */
const TELL_MS = 100;

/** The part of a worker's global scope that is used here; the types of the package are those of a page. */
interface Scope {
  onmessage: ((event: MessageEvent<Task>) => void) | null;
  postMessage(progress: Progress): void;
}

const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data: { challenge, key } }) => {
  const search = new Search(challenge, key);
  let toldAt = performance.now();
  for (let proof: string | null = null; proof === null; ) {
    proof = search.step();
    if (proof !== null || performance.now() - toldAt >= TELL_MS) {
      toldAt = performance.now();
      scope.postMessage({ share: search.share, proof });
    }
  }
};
