/**
 * A link: one transport connection that carries frames both ways, whatever it is made of.
 *
 * The links themselves are in `link/webtransport.ts` and `link/websocket.ts`. A link knows no
 * protocol beyond the envelope. Which side may send which frame is decided by the conversation.
 *
 * @module
 */

import type { ClientFrame } from "../generated/frame.js";
import type { StreamLane } from "../wire/envelope.js";

/** The transport of a link. */
export type TransportName = "webtransport" | "websocket";

/** The address of a node, as `POST /v1/connect` returns it. */
export interface LinkAddress {
  /** The URL for this transport. */
  readonly url: string;
  /** SHA-256 of a development certificate, for WebTransport; `null` for one of a public authority. */
  readonly certificateHash: Uint8Array<ArrayBuffer> | null;
}

/** The events of a link, for its owner. */
export interface LinkEvents {
  /** Bytes of a stream, in any pieces. */
  bytes(lane: StreamLane, bytes: Uint8Array): void;
  /** One datagram. */
  datagram(bytes: Uint8Array): void;
  /** One message of a WebSocket; `null` for a text message, which the protocol does not have. */
  message(bytes: Uint8Array | null): void;
  /** The link is closed or lost. It is the last event, and comes once. */
  closed(): void;
}

/** Counters of one link. */
export interface LinkStats {
  /** Bytes handed to the transport, envelopes included. */
  readonly sentBytes: number;
  /** Bytes received from the transport. */
  readonly receivedBytes: number;
  /** Signals that were dropped because the transport was behind. */
  readonly droppedSignals: number;
}

/** An open link. */
export interface Link {
  /** Its transport: what the link is, not what was asked for. */
  readonly transport: TransportName;
  /** Sends a frame on its lane. Never waits; frames of the datagram lane may be dropped. */
  send(frame: ClientFrame): void;
  /** The link loses packets: for a while it sends copies of small writes to the live lane, if it can. */
  startCopies(): void;
  /** Sends what was written, then closes. Calling it again does nothing. */
  close(): void;
  /** Counters so far. */
  stats(): LinkStats;
}

/** Opens a link. Rejects when that fails; gives up when `signal` is aborted before it is open. */
export type OpenLink = (address: LinkAddress, events: LinkEvents, signal: AbortSignal) => Promise<Link>;
