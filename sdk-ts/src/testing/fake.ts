/**
 * A world without network and with a clock that stands still: what the shells are tested in.
 *
 * - `FakeEnvironment`: time moves by `advance`, timers fire in order, randomness counts up.
 * - `FakeSocket`: the client's end of a WebSocket; `FakeEnvironment.sockets` holds every one opened.
 * - `FakeServer`: answers a socket frame by frame; a test scripts what it says.
 */

import type { Environment, WakeReason } from "../environment.js";
import type { ChatState, Message } from "../generated/chat.js";
import type { Welcome } from "../generated/connect.js";
import {
  type ClientFrame,
  decodeClientFrame,
  encodeServerFrame,
  type ServerFrame,
  serverFrameType,
} from "../generated/frame.js";
import { POSITION_START, type Position } from "../generated/position.js";
import type { TicketState } from "../generated/queue.js";
import { Writer } from "../wire/codec.js";
import { Decoder, envelop } from "../wire/envelope.js";

export const CHAT = "019aabcd-ef01-7234-9567-89abcdef0101";
export const TICKET = "019aabcd-eeff-7aaa-8bbb-ccccddddeeee";

interface Timer {
  readonly at: number;
  readonly action: () => void;
}

/** Lets every promise that can settle do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) {
    await Promise.resolve();
  }
}

export class FakeEnvironment implements Environment {
  time = 1_000_000;
  isPageVisible = true;
  readonly sockets: FakeSocket[] = [];
  readonly #timers = new Set<Timer>();
  readonly #wakers = new Set<(reason: WakeReason) => void>();
  #random = 0;

  readonly fetch: typeof globalThis.fetch = () => Promise.reject(new Error("no network"));
  WebTransport: typeof globalThis.WebTransport | null = null;
  readonly WebSocket: typeof globalThis.WebSocket;

  constructor() {
    const { sockets } = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url: string) {
        super(url);
        sockets.push(this);
      }
    } as unknown as typeof globalThis.WebSocket;
  }

  now(): number {
    return this.time;
  }

  randomBytes(length: number): Uint8Array {
    this.#random += 1;
    const bytes = new Uint8Array(length);
    return bytes.map((_, index) => (this.#random * 151 + index * 31) & 0xff);
  }

  schedule(delayMs: number, action: () => void): () => void {
    const timer = { at: this.time + delayMs, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  onWake(listener: (reason: WakeReason) => void): () => void {
    this.#wakers.add(listener);
    return () => this.#wakers.delete(listener);
  }

  isVisible(): boolean {
    return this.isPageVisible;
  }

  wake(reason: WakeReason): void {
    for (const listener of this.#wakers) {
      listener(reason);
    }
  }

  /** Moves the clock, and fires what is due on the way, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      this.#timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.action();
      await settle();
    }
    this.time = end;
  }

  get timers(): number {
    return this.#timers.size;
  }

  #next(end: number): Timer | null {
    const due = [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at);
    return due[0] ?? null;
  }
}

/** The client's end of a WebSocket. The test opens it, speaks through it and loses it. */
export class FakeSocket extends EventTarget {
  readonly OPEN = 1;
  readonly url: string;
  binaryType = "blob";
  readyState = 0;
  bufferedAmount = 0;
  readonly sent: ClientFrame[] = [];
  readonly #decoder = new Decoder();

  constructor(url: string) {
    super();
    this.url = url;
  }

  send(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
    for (let raw = this.#decoder.nextFrame(65_536); raw !== null; raw = this.#decoder.nextFrame(65_536)) {
      this.sent.push(decodeClientFrame(raw.type, raw.body));
    }
  }

  close(): void {
    if (this.readyState < 3) {
      this.readyState = 3;
      queueMicrotask(() => this.dispatchEvent(closeEvent()));
    }
  }

  open(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  /** The network takes it away. */
  lose(): void {
    this.readyState = 3;
    this.dispatchEvent(closeEvent());
  }

  say(...frames: ServerFrame[]): void {
    const bytes = frames.map((frame) => {
      const writer = new Writer();
      encodeServerFrame(writer, frame);
      return envelop(serverFrameType(frame), writer.view());
    });
    const joined = new Uint8Array(bytes.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of bytes) {
      joined.set(part, at);
      at += part.length;
    }
    this.hear(joined.buffer);
  }

  hear(data: ArrayBuffer | string): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** The frames of one kind that the client has sent. */
  all<Kind extends ClientFrame["kind"]>(kind: Kind): Extract<ClientFrame, { kind: Kind }>[] {
    return this.sent.filter((frame): frame is Extract<ClientFrame, { kind: Kind }> => frame.kind === kind);
  }

  /** The newest frame of one kind that the client has sent. */
  last<Kind extends ClientFrame["kind"]>(kind: Kind): Extract<ClientFrame, { kind: Kind }> {
    const found = this.all(kind).at(-1);
    if (found === undefined) {
      throw new Error(`no ${kind} among ${this.sent.map((frame) => frame.kind).join(", ")}`);
    }
    return found;
  }
}

function closeEvent(): Event {
  return Object.assign(new Event("close"), { code: 1006 });
}

export function welcome(parts: Partial<Welcome> = {}): Welcome {
  return {
    kind: "welcome",
    version: 1,
    connection: "019aabcd-ee00-7000-8000-000000000001",
    serverTimeMs: 2_000_000,
    limits: {
      frameBytesMax: 65_536,
      textBytesMax: 8_000,
      textGraphemesMax: 2_000,
      pingIntervalMs: 20_000,
      idleTimeoutMs: 50_000,
      seatHoldMs: 90_000,
    },
    ticket: null,
    chat: null,
    ...parts,
  };
}

export function at(epoch: number, seq: number): Position {
  return { epoch, seq };
}

export function chatState(parts: Partial<ChatState> = {}): ChatState {
  const member = {
    language: "en",
    seat: "taken",
    heldUntilMs: 0,
    delivered: POSITION_START,
    read: POSITION_START,
  };
  return {
    chat: CHAT,
    category: "music",
    members: [
      { ...member, name: "Ada", seat: "taken" },
      { ...member, name: "Bob", seat: "taken" },
    ],
    you: 0,
    why: { sharedInterests: ["jazz"], isSameLanguage: true },
    head: POSITION_START,
    resumed: POSITION_START,
    unread: 0,
    startedAtMs: 2_000_000,
    expiresAtMs: 88_400_000,
    ...parts,
  };
}

export function ticketState(parts: Partial<TicketState> = {}): TicketState {
  return {
    ticket: TICKET,
    category: "music",
    interests: ["jazz"],
    sinceMs: 2_000_000,
    stage: "interests",
    waiting: 1,
    ...parts,
  };
}

export function message(position: Position, text: string, parts: Partial<Message> = {}): Message {
  const tail = position.seq.toString(16).padStart(12, "0");
  return {
    kind: "message",
    chat: CHAT,
    position,
    member: 1,
    clientMessageId: `00000000-0000-7000-8000-${tail}`,
    atMs: 2_000_000 + position.seq,
    replyTo: null,
    body: { kind: "text", text },
    ...parts,
  };
}

/** A WebTransport that opens, takes everything, and never answers. */
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
