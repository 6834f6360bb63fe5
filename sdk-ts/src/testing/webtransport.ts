/**
 * A WebTransport session without a network: the test opens it, speaks through its streams and
 * datagrams, and loses it.
 */
import { type ClientFrame, decodeClientFrame, type ServerFrame } from "../generated/frame.js";
import { Decoder, decodeDatagram } from "../wire/envelope.js";
import { serverBytes } from "./samples.js";

/** Longest frame that the fake server reads. */
const FRAME_LIMIT = 65_536;

/** One direction from the client: what it wrote, and whether it has ended. */
class FakeSink {
  readonly chunks: Uint8Array[] = [];
  isEnded = false;
  readonly writable: WritableStream<Uint8Array>;
  #controller: WritableStreamDefaultController | null = null;
  #resume: (() => void) | null = null;
  #stalled: Promise<void> | null = null;

  constructor(highWaterMark: number) {
    this.writable = new WritableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        write: async (chunk) => {
          await this.#stalled;
          this.chunks.push(chunk.slice());
        },
        close: async () => {
          await this.#stalled;
          this.isEnded = true;
        },
      },
      { highWaterMark },
    );
  }

  /** Nothing goes out any more until {@link FakeSink.resume}. */
  stall(): void {
    this.#stalled = new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  resume(): void {
    this.#resume?.();
    this.#stalled = null;
  }

  fail(): void {
    this.#controller?.error(new Error("the session is gone"));
    this.resume();
  }
}

/** One direction to the client. */
class FakeSource {
  readonly readable: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor() {
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
    });
  }

  say(bytes: Uint8Array): void {
    this.#controller?.enqueue(bytes);
  }

  end(): void {
    this.#controller?.close();
  }

  fail(): void {
    try {
      this.#controller?.error(new Error("the session is gone"));
    } catch {
      // It had ended.
    }
  }
}

/** A bidirectional stream that the client has opened. */
export class FakeStream {
  readonly sink = new FakeSink(16);
  readonly source = new FakeSource();

  /** The frames that the client has written. */
  get sent(): ClientFrame[] {
    const decoder = new Decoder();
    const frames: ClientFrame[] = [];
    for (const chunk of this.sink.chunks) {
      decoder.push(chunk);
      for (let raw = decoder.nextFrame(FRAME_LIMIT); raw !== null; raw = decoder.nextFrame(FRAME_LIMIT)) {
        frames.push(decodeClientFrame(raw.type, raw.body));
      }
    }
    return frames;
  }

  say(...frames: ServerFrame[]): void {
    this.source.say(serverBytes(...frames));
  }
}

/** How a browser hands out the writable side of datagrams: as an older one does, or as a newer one. */
export type DatagramStyle = "writable" | "createWritable";

/** The client's end of a WebTransport session. */
export class FakeWebTransport {
  readonly url: string;
  readonly options: WebTransportOptions;
  readonly ready: Promise<void>;
  readonly closed: Promise<unknown>;
  readonly streams: FakeStream[] = [];
  readonly datagramSink = new FakeSink(1);
  readonly datagramSource = new FakeSource();
  readonly datagrams: Record<string, unknown>;
  isClosed = false;
  /** What the client has closed with; `null` when it did not close. */
  closeInfo: WebTransportCloseInfo | null = null;
  /** Set to have the opening of streams fail. */
  refusesStreams = false;
  #open: () => void = () => undefined;
  #refuse: (error: Error) => void = () => undefined;
  #end: (info: unknown) => void = () => undefined;
  #break: (error: Error) => void = () => undefined;

  constructor(url: string, options: WebTransportOptions = {}, style: DatagramStyle = "writable") {
    this.url = url;
    this.options = options;
    this.ready = new Promise((resolve, reject) => {
      this.#open = resolve;
      this.#refuse = reject;
    });
    this.closed = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#break = reject;
    });
    const { writable } = this.datagramSink;
    const side =
      style === "writable"
        ? { writable, incomingHighWaterMark: 1 }
        : { createWritable: () => writable, incomingMaxBufferedDatagrams: 1 };
    this.datagrams = {
      readable: this.datagramSource.readable,
      maxDatagramSize: 1_000,
      outgoingHighWaterMark: 1,
      ...side,
    };
  }

  createBidirectionalStream() {
    if (this.refusesStreams) {
      return Promise.reject(new Error("no more streams"));
    }
    const stream = new FakeStream();
    this.streams.push(stream);
    return Promise.resolve({ readable: stream.source.readable, writable: stream.sink.writable });
  }

  /** The client closes. As in a browser, closing a session twice throws. */
  close(info: WebTransportCloseInfo = {}): void {
    if (this.isClosed) {
      throw new Error("InvalidStateError");
    }
    this.isClosed = true;
    this.closeInfo = info;
    this.#refuse(new Error("the session was closed"));
    this.#end({ closeCode: 0, reason: "" });
    this.#failAll();
  }

  /** The handshake is done. */
  open(): void {
    this.#open();
  }

  /** The handshake fails. */
  refuse(): void {
    this.isClosed = true;
    this.#refuse(new Error("Opening handshake failed."));
    this.#break(new Error("Opening handshake failed."));
  }

  /** The session is lost. */
  lose(): void {
    this.isClosed = true;
    this.#break(new Error("Connection lost."));
    this.#failAll();
  }

  /** The server closes, with a code. */
  end(): void {
    this.isClosed = true;
    this.#end({ closeCode: 4_000, reason: "GOING_AWAY" });
  }

  /** The stream for live frames. */
  get live(): FakeStream {
    const [live] = this.streams;
    if (live === undefined) {
      throw new Error("the client has opened no stream");
    }
    return live;
  }

  /** The frames that the client has sent as datagrams. */
  get sentDatagrams(): ClientFrame[] {
    return this.datagramSink.chunks.map((chunk) => {
      const { type, body } = decodeDatagram(chunk);
      return decodeClientFrame(type, body);
    });
  }

  #failAll(): void {
    for (const { sink, source } of this.streams) {
      sink.fail();
      source.fail();
    }
    this.datagramSink.fail();
    this.datagramSource.fail();
  }
}

/** A WebTransport that opens, accepts everything, and never replies. */
export class SilentWebTransport {
  readonly ready = Promise.resolve();
  readonly closed = new Promise<never>(() => undefined);
  readonly datagrams = {
    readable: new ReadableStream(),
    writable: new WritableStream(),
    maxDatagramSize: 1_000,
  };

  createBidirectionalStream() {
    return Promise.resolve({ readable: new ReadableStream(), writable: new WritableStream() });
  }

  close(): void {}
}
