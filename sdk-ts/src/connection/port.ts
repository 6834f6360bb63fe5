/**
 * The narrow view of a connection that its queue and its chats have.
 *
 * @module
 */

import type { Turn } from "../emitter.js";
import type { Environment } from "../environment.js";
import type { ClientFrame } from "../generated/frame.js";
import type { Reply, Settle } from "./requests.js";

/** A connection, as its own parts see it. */
export interface Port {
  /** Time and randomness. */
  readonly environment: Environment;
  /** Says when listeners may be called: never between two states. */
  readonly turn: Turn;
  /** Whether frames can be sent right now. */
  readonly isReady: boolean;
  /** Sends a cursor or a signal; dropped unless the connection is ready. */
  send(frame: ClientFrame): void;
  /** Sends a request over the present link. `settle` is also called when the link is lost. */
  request(make: (request: number) => ClientFrame, settle: Settle): void;
  /** Sends a request over as many links as it takes. Only for requests that are harmless when repeated. */
  perform(make: (request: number) => ClientFrame): Promise<Reply>;
  /** A message is missing or a reply overdue: connects again and resumes. */
  resync(): void;
}
