/**
 * A link over WebTransport: one stream for live frames, a second one for history, and datagrams for
 * signals and, while the link loses packets, for copies of the live stream.
 *
 * The client opens both streams, because browsers limit the streams that a server may open. The second
 * is opened with the first frame of the bulk lane.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { NetworkError } from "../error.js";
import { CloseCode } from "../generated/code.js";
import { type ClientFrame, clientFrameLane } from "../generated/frame.js";
import { CLOSE_DEADLINE_MS, DATAGRAM_BYTES_MAX } from "../generated/limits.js";
import { CopyWriter } from "../wire/copies.js";
import { encode, encodeDatagram } from "../wire/envelope.js";
import type { Link, LinkAddress, LinkEvents, LinkStats } from "./link.js";

/**
 * Datagrams that may wait in either direction. With the default, a page that is busy for half a second
 * keeps one of two hundred.
 */
const DATAGRAMS_HIGH_WATER_MARK = 256;

/** The part of the environment that this link needs. */
type Surroundings = Pick<Environment, "monotonicNow" | "schedule" | "onWake">;

/** Opens a WebTransport session and its live stream. */
export async function openWebTransport(
  WebTransportClass: typeof WebTransport,
  environment: Surroundings,
  address: LinkAddress,
  events: LinkEvents,
  signal: AbortSignal,
): Promise<Link> {
  let session: WebTransport | null = null;
  let giveUp: () => void = () => undefined;
  const given = new Promise<never>((_, reject) => {
    giveUp = () => {
      closeQuietly(session);
      reject(new NetworkError("The attempt was given up."));
    };
  });
  given.catch(() => undefined);
  signal.addEventListener("abort", giveUp, { once: true });
  const stopWake = onLeave(environment, giveUp);
  try {
    signal.throwIfAborted();
    session = new WebTransportClass(address.url, options(address));
    raiseHighWaterMarks(session.datagrams);
    // It rejects whenever opening fails, which `ready` reports already.
    session.closed.catch(() => undefined);
    const live = await Promise.race([openLive(session), given]);
    return new WebTransportLink(session, live, environment, events);
  } catch (cause) {
    closeQuietly(session);
    throw new NetworkError("WebTransport could not be opened.", { cause });
  } finally {
    signal.removeEventListener("abort", giveUp);
    stopWake();
  }
}

/**
 * Calls `leave` when the page is left. Firefox keeps a session open after its page, and no code of the page
 * runs afterwards: so a session is closed at once then, whatever it is about to do.
 */
function onLeave(environment: Surroundings, leave: () => void): () => void {
  return environment.onWake((reason) => {
    if (reason === "leave") {
      leave();
    }
  });
}

async function openLive(session: WebTransport): Promise<WebTransportBidirectionalStream> {
  await session.ready;
  return await session.createBidirectionalStream();
}

function options({ certificateHash }: LinkAddress): WebTransportOptions {
  const hashes = certificateHash === null ? null : [{ algorithm: "sha-256", value: certificateHash }];
  return hashes === null ? {} : { serverCertificateHashes: hashes };
}

/** Sets the attributes that this browser has: their names differ between versions. */
function raiseHighWaterMarks(datagrams: WebTransportDatagramDuplexStream): void {
  const marks = datagrams as unknown as Record<string, unknown>;
  for (const name of ["incomingHighWaterMark", "outgoingHighWaterMark", "incomingMaxBufferedDatagrams"]) {
    if (name in datagrams) {
      marks[name] = DATAGRAMS_HIGH_WATER_MARK;
    }
  }
}

function closeQuietly(session: WebTransport | null, info: WebTransportCloseInfo = {}): void {
  try {
    session?.close(info);
  } catch {
    // It was closed already, or never opened: nothing is left to close.
  }
}

class WebTransportLink implements Link {
  readonly transport = "webtransport";
  readonly #session: WebTransport;
  readonly #environment: Surroundings;
  readonly #events: LinkEvents;
  readonly #live: WritableStreamDefaultWriter<Uint8Array>;
  readonly #copies = new CopyWriter();
  #cancelCopy: () => void = () => undefined;
  #bulk: Promise<WritableStreamDefaultWriter<Uint8Array>> | null = null;
  readonly #datagrams: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stopWake: () => void;
  #isClosing = false;
  #isClosed = false;
  #sentBytes = 0;
  #receivedBytes = 0;
  #droppedSignals = 0;

  constructor(
    session: WebTransport,
    live: WebTransportBidirectionalStream,
    environment: Surroundings,
    events: LinkEvents,
  ) {
    this.#session = session;
    this.#environment = environment;
    this.#events = events;
    this.#live = live.writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    this.#datagrams = datagramWriter(session.datagrams);
    this.#stopWake = onLeave(environment, () => this.#leave());
    void this.#read(live.readable, (bytes) => events.bytes("live", bytes), true);
    void this.#read(session.datagrams.readable, (bytes) => events.datagram(bytes), false);
    void session.closed.then(
      () => this.#lose(),
      () => this.#lose(),
    );
  }

  send(frame: ClientFrame): void {
    switch (clientFrameLane(frame)) {
      case "datagram":
        this.#sendDatagram(frame);
        break;
      case "bulk":
        void this.#sendBulk(encode(frame));
        break;
      default:
        this.#writeLive(encode(frame));
    }
  }

  startCopies(): void {
    this.#copies.start(this.#environment.monotonicNow());
  }

  close(): void {
    if (this.#isClosing) {
      return;
    }
    this.#isClosing = true;
    // The last frame, a `Bye`, would be lost if the session closed before the stream has ended.
    const end = () => {
      closeQuietly(this.#session);
      this.#lose();
    };
    const cancelDeadline = this.#environment.schedule(CLOSE_DEADLINE_MS, end);
    void this.#live
      .close()
      .catch(() => undefined)
      .then(() => this.#session.closed)
      .catch(() => undefined)
      .then(cancelDeadline)
      .then(end);
  }

  stats(): LinkStats {
    return {
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes,
      droppedSignals: this.#droppedSignals,
    };
  }

  #sendDatagram(frame: ClientFrame): void {
    const bytes = encodeDatagram(frame);
    const room = this.#session.datagrams.maxDatagramSize || DATAGRAM_BYTES_MAX;
    if (bytes.length > room || (this.#datagrams.desiredSize ?? 0) <= 0) {
      this.#droppedSignals += 1;
      return;
    }
    this.#write(this.#datagrams, bytes);
  }

  #writeLive(bytes: Uint8Array): void {
    this.#write(this.#live, bytes);
    const now = this.#environment.monotonicNow();
    this.#copies.wrote(bytes, now);
    this.#setCopyTimer(now);
  }

  #setCopyTimer(now: number): void {
    this.#cancelCopy();
    const dueAt = this.#copies.pollTimeout();
    if (dueAt !== null && !this.#isClosing) {
      this.#cancelCopy = this.#environment.schedule(dueAt - now, () => this.#sendCopy());
    }
  }

  #sendCopy(): void {
    const now = this.#environment.monotonicNow();
    const copy = this.#isClosing ? null : this.#copies.take(now);
    if (copy !== null) {
      this.#sendDatagram(copy);
    }
    this.#setCopyTimer(now);
  }

  async #sendBulk(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#bulk ??= this.#openBulk();
    try {
      this.#write(await this.#bulk, bytes);
    } catch {
      this.#lose();
    }
  }

  async #openBulk(): Promise<WritableStreamDefaultWriter<Uint8Array>> {
    const bulk = await this.#session.createBidirectionalStream();
    void this.#read(bulk.readable, (bytes) => this.#events.bytes("bulk", bytes), true);
    return bulk.writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
  }

  #write(writer: WritableStreamDefaultWriter<Uint8Array>, bytes: Uint8Array): void {
    this.#sentBytes += bytes.length;
    // A failed write means that the session is lost, which its `closed` reports.
    writer.write(bytes).catch(() => undefined);
  }

  /** Reads until the end. The end of a stream is the end of the link; the end of the datagrams is not. */
  async #read(
    readable: ReadableStream<Uint8Array>,
    deliver: (bytes: Uint8Array) => void,
    isStream: boolean,
  ): Promise<void> {
    const reader = readable.getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        this.#receivedBytes += next.value.length;
        if (!this.#isClosed) {
          deliver(next.value);
        }
      }
    } catch {
      // The session is lost: reported below, or by `closed`.
    }
    if (isStream) {
      this.#lose();
    }
  }

  /** What was written goes as far as it goes. */
  #leave(): void {
    this.#isClosing = true;
    closeQuietly(this.#session, { closeCode: CloseCode.CLIENT_LEFT, reason: "CLIENT_LEFT" });
    this.#lose();
  }

  #lose(): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#stopWake();
      this.#cancelCopy();
      closeQuietly(this.#session);
      this.#events.closed();
    }
  }
}

/** Newer browsers create writable streams on demand; older ones have a single one. */
function datagramWriter(
  datagrams: WebTransportDatagramDuplexStream,
): WritableStreamDefaultWriter<Uint8Array> {
  const maker = datagrams as unknown as { createWritable?: () => WritableStream<Uint8Array> };
  const writable = maker.createWritable?.() ?? datagrams.writable;
  return writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
}
