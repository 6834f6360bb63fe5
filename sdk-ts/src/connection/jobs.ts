/**
 * Requests that survive lost links: each is sent again until it has a reply.
 *
 * @module
 */

import { ConnectionClosedError, type NoWrongError, QueueFullError } from "../error.js";
import type { ClientFrame } from "../generated/frame.js";
import type { Port } from "./port.js";
import type { Reply } from "./requests.js";

/** The most requests that may wait at a time, so that a long loss does not pile them up; more fail at once. */
const JOBS_MAX = 64;

interface Job {
  readonly make: (request: number) => ClientFrame;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: NoWrongError) => void;
}

/** The requests of one connection that survive a lost link. */
export class Jobs {
  readonly #port: Pick<Port, "isReady" | "request">;
  readonly #jobs = new Set<Job>();
  #error: NoWrongError | null = null;

  constructor(port: Pick<Port, "isReady" | "request">) {
    this.#port = port;
  }

  /** Sends a request until it has a reply. Only for requests that are harmless when repeated. */
  perform(make: Job["make"]): Promise<Reply> {
    if (this.#error !== null) {
      return Promise.reject(this.#error);
    }
    if (this.#jobs.size >= JOBS_MAX) {
      return Promise.reject(new QueueFullError("Too many requests wait for a connection."));
    }
    return new Promise((resolve, reject) => {
      const job = { make, resolve, reject };
      this.#jobs.add(job);
      this.#run(job);
    });
  }

  /** There is a new link: sends every request without a reply again. */
  runAll(): void {
    for (const job of [...this.#jobs]) {
      this.#run(job);
    }
  }

  /** There will be no other link: every request fails with `error`. */
  close(error: NoWrongError): void {
    this.#error = error;
    for (const job of this.#jobs) {
      job.reject(error);
    }
    this.#jobs.clear();
  }

  #run(job: Job): void {
    if (!this.#port.isReady) {
      return;
    }
    this.#port.request(job.make, (reply, error) => {
      if (error instanceof ConnectionClosedError) {
        return; // The request is sent again over the next link, or `close` rejects it.
      }
      this.#jobs.delete(job);
      if (reply !== null) {
        job.resolve(reply);
      } else if (error !== null) {
        job.reject(error);
      }
    });
  }
}
