/**
 * An environment without a real clock: time moves by `advance`, timers fire in order, randomness counts up.
 *
 * There is no real network either: `FakeEnvironment.sockets` and `sessions` hold what was opened.
 */
import type { Environment, WakeReason } from "../environment.js";
import { FakeSocket } from "./socket.js";
import { type DatagramStyle, FakeWebTransport } from "./webtransport.js";

interface Timer {
  readonly at: number;
  readonly action: () => void;
}

/** Lets all promises settle that can. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) {
    await Promise.resolve();
  }
}

export class FakeEnvironment implements Environment {
  /** The monotonic time, which timers follow. */
  time = 1_000_000;
  /** How far somebody has set the clock forward. */
  clockShift = 0;
  isPageVisible = true;
  /** How many timers were set so far. */
  scheduled = 0;
  readonly sockets: FakeSocket[] = [];
  readonly sessions: FakeWebTransport[] = [];
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

  /** Offers WebTransport from now on. */
  offerWebTransport(style?: DatagramStyle): void {
    const { sessions } = this;
    this.WebTransport = class extends FakeWebTransport {
      constructor(url: string, options?: WebTransportOptions) {
        super(url, options, style);
        sessions.push(this);
      }
    } as unknown as typeof globalThis.WebTransport;
  }

  now(): number {
    return this.time + this.clockShift;
  }

  monotonicNow(): number {
    return this.time;
  }

  randomBytes(length: number): Uint8Array {
    this.#random += 1;
    const bytes = new Uint8Array(length);
    return bytes.map((_, index) => (this.#random * 151 + index * 31) & 0xff);
  }

  schedule(delayMs: number, action: () => void): () => void {
    this.scheduled += 1;
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

  /** Moves the clock, and fires the timers that become due, in order. */
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
