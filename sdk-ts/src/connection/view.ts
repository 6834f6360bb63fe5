/**
 * What an application sees of a connection.
 *
 * @module
 */

import type { Chat } from "../chat/chat.js";
import type { NoWrongError } from "../error.js";
import type { TransportName } from "../link/link.js";
import type { Ticket } from "../queue/ticket.js";
import type { DriverStats } from "./driver.js";

/** `connecting` before the first link, `reconnecting` between two links, `closed` for good. */
export type ConnectionState = "connecting" | "ready" | "reconnecting" | "closed";

/** Why there is no link: the last one was lost, or the last attempt to open one failed. */
export interface ConnectionFailure {
  /** What went wrong. */
  readonly error: NoWrongError;
  /** The transport that it went wrong over; `null` when no transport was tried, as without a connect token. */
  readonly transport: TransportName | null;
}

/** The events of a connection. */
export interface ConnectionEvents {
  /** `Connection.state` has changed. */
  state: ConnectionState;
  /** A link was lost, or an attempt to open one failed: `Connection.failure`. Another attempt follows. */
  failure: ConnectionFailure;
  /** A chat has opened: by a match, or because it was open before. */
  chat: Chat;
  /** The server has a ticket that was not asked for here: from before a reload of the page. */
  ticket: Ticket;
}

/** Counters of a connection. */
export interface ConnectionStats extends DriverStats {
  /** The transport of the present link; `null` while there is none. */
  readonly transport: TransportName | null;
  /** The number of links that were opened so far. */
  readonly links: number;
}
