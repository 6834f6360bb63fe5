/**
 * What the queue and the chats of a connection need of it, and nothing more.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import type { ClientFrame } from "../generated/frame.js";
import type { Reply, Settle } from "./requests.js";

/** A connection as its own parts see it. */
export interface Port {
  /** Time and randomness. */
  readonly environment: Environment;
  /** Whether frames can be sent right now. */
  readonly isReady: boolean;
  /** Sends a cursor or a signal; dropped unless the connection is ready. */
  send(frame: ClientFrame): void;
  /** Sends a request over the present link. `settle` is told when the link is lost, too. */
  request(make: (request: number) => ClientFrame, settle: Settle): void;
  /** Carries a request out, over as many links as it takes; only for what is harmless when repeated. */
  perform(make: (request: number) => ClientFrame): Promise<Reply>;
  /** Something is missing or overdue: connect again and resume. */
  resync(): void;
}
