/**
 * A link over a WebSocket: all lanes share one stream of messages.
 *
 * Each frame is a binary message. While the socket is behind, frames of the datagram lane are dropped,
 * not queued.
 *
 * @module
 */

import { NetworkError } from "../error.js";
import { type ClientFrame, clientFrameLane } from "../generated/frame.js";
import { encode } from "../wire/envelope.js";
import type { Link, LinkAddress, LinkEvents, LinkStats } from "./link.js";

/** Signals are dropped while more bytes than this are unsent: one or two messages of this moment. */
const SIGNAL_BUFFER_BYTES_MAX = 4_096;

/**
 * Opens a WebSocket; resolves once it is open.
 *
 * Chromium tells a socket that the page's policy refuses by `error` alone, and Firefox by throwing something
 * that is not an `Error`.
 */
export function openWebSocket(
  WebSocketClass: typeof WebSocket,
  address: LinkAddress,
  events: LinkEvents,
  signal: AbortSignal,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    const socket = create(WebSocketClass, address.url);
    socket.binaryType = "arraybuffer";
    const link = new WebSocketLink(socket, events);
    const fail = (why: string) => {
      signal.removeEventListener("abort", abandon);
      reject(new NetworkError(why));
    };
    const abandon = () => {
      socket.close();
      fail("The attempt was given up.");
    };
    signal.addEventListener("abort", abandon, { once: true });
    socket.addEventListener("open", () => resolve(link), { once: true });
    socket.addEventListener("error", () => fail("The WebSocket could not be opened."));
    socket.addEventListener("close", ({ code }) =>
      fail(`The WebSocket was closed before it was open (${code}).`),
    );
    if (signal.aborted) {
      abandon();
    }
  });
}

function create(WebSocketClass: typeof WebSocket, url: string): WebSocket {
  try {
    return new WebSocketClass(url);
  } catch (cause) {
    throw new NetworkError("The WebSocket could not be opened.", { cause });
  }
}

class WebSocketLink implements Link {
  readonly transport = "websocket";
  readonly #socket: WebSocket;
  #sentBytes = 0;
  #receivedBytes = 0;
  #droppedSignals = 0;

  constructor(socket: WebSocket, events: LinkEvents) {
    this.#socket = socket;
    let isOpen = false;
    socket.addEventListener("open", () => {
      isOpen = true;
    });
    socket.addEventListener("message", (event: MessageEvent<unknown>) => {
      const bytes = event.data instanceof ArrayBuffer ? new Uint8Array(event.data) : null;
      this.#receivedBytes += bytes?.length ?? 0;
      events.message(bytes);
    });
    socket.addEventListener("close", () => {
      if (isOpen) {
        isOpen = false;
        events.closed();
      }
    });
  }

  send(frame: ClientFrame): void {
    const isSignal = clientFrameLane(frame) === "datagram";
    if (isSignal && this.#socket.bufferedAmount > SIGNAL_BUFFER_BYTES_MAX) {
      this.#droppedSignals += 1;
      return;
    }
    if (this.#socket.readyState === this.#socket.OPEN) {
      const bytes = encode(frame);
      this.#sentBytes += bytes.length;
      this.#socket.send(bytes);
    }
  }

  startCopies(): void {
    // A WebSocket has no datagrams to send copies in.
  }

  close(): void {
    this.#socket.close(1000);
  }

  stats(): LinkStats {
    return {
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes,
      droppedSignals: this.#droppedSignals,
    };
  }
}
