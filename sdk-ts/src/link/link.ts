/**
 * A link: one transport connection that carries frames both ways, whatever it is made of.
 *
 * The links themselves are in `link/webtransport.ts` and `link/websocket.ts`. A link knows no
 * protocol beyond the envelope; who may say what is the conversation's business.
 *
 * @module
 */

import type { ClientFrame } from "../generated/frame.js";
import type { StreamLane } from "../wire/envelope.js";

/** What a link is made of. */
export type TransportName = "webtransport" | "websocket";

/** Where a node is reached, as `POST /v1/connect` tells. */
export interface LinkAddress {
  /** The URL for this transport. */
  readonly url: string;
  /** SHA-256 of a development certificate, for WebTransport; `null` for one of a public authority. */
  readonly certificateHash: Uint8Array<ArrayBuffer> | null;
}

/** What a link tells its owner. */
export interface LinkEvents {
  /** Bytes of a stream, in any pieces. */
  bytes(lane: StreamLane, bytes: Uint8Array): void;
  /** One datagram. */
  datagram(bytes: Uint8Array): void;
  /** One message of a WebSocket; `null` for a text message, which this protocol has none of. */
  message(bytes: Uint8Array | null): void;
  /** The link is gone. Told once, and nothing after it. */
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
  /** What it is made of: the link's own word, not what somebody wished for. */
  readonly transport: TransportName;
  /** Sends a frame on its lane. Never waits; frames of the datagram lane may be dropped. */
  send(frame: ClientFrame): void;
  /** The link loses packets: sends small writes of the live lane twice for a while, where it can. */
  startCopies(): void;
  /** Sends what is on its way, then closes. Harmless when called again. */
  close(): void;
  /** Counters so far. */
  stats(): LinkStats;
}

/** Opens a link; rejects when it cannot, and drops it when `signal` is aborted meanwhile. */
export type OpenLink = (address: LinkAddress, events: LinkEvents, signal: AbortSignal) => Promise<Link>;
