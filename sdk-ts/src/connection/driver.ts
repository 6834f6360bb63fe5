/**
 * Drives one conversation over one link: the shell that passes it the time and performs its outputs.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { ConnectionClosedError } from "../error.js";
import { CloseCode } from "../generated/code.js";
import type { GoAway, Hello, Welcome } from "../generated/connect.js";
import type { ClientFrame, ServerFrame } from "../generated/frame.js";
import type { Link, LinkAddress, LinkEvents, LinkStats, OpenLink, TransportName } from "../link/link.js";
import { type Closed, Conversation } from "../wire/conversation.js";
import type { StreamLane } from "../wire/envelope.js";
import type { Alarm, Deadline } from "./alarm.js";

/** The events of a driver. `closed` is the last one. */
export interface DriverListener {
  /** The connection is open. */
  welcome(driver: Driver, welcome: Welcome): void;
  /** A reply, push or signal. */
  push(frame: ServerFrame): void;
  /** The server is going away soon. */
  goAway(driver: Driver, goAway: GoAway): void;
  /** The connection is over. */
  closed(driver: Driver, closed: Closed): void;
}

/** Counters of one link and its conversation. */
export interface DriverStats extends LinkStats {
  /** Time from the last ping that was answered to its pong, in milliseconds; `null` before the first. */
  readonly roundTripMs: number | null;
  /** Frames that were skipped because their type is unknown. */
  readonly unknownFrames: number;
  /** Datagrams that were malformed, unknown or out of place. */
  readonly droppedDatagrams: number;
}

/** One conversation over one link. */
export class Driver implements LinkEvents {
  /** Receives the events. The owner replaces it when the driver changes hands. */
  listener: DriverListener;
  /**
   * Whether another attempt of the same race sent `Hello` and was given up. If that `Hello` arrives late,
   * the server takes it for a newer connection, which replaces this one.
   */
  hadRival = false;
  readonly #environment: Pick<Environment, "monotonicNow">;
  readonly #deadline: Deadline;
  #link: Link | null = null;
  #conversation: Conversation | null = null;
  #isRunning = false;

  constructor(environment: Pick<Environment, "monotonicNow">, alarm: Alarm, listener: DriverListener) {
    this.#environment = environment;
    this.#deadline = alarm.deadline(() =>
      this.#input((conversation, now) => conversation.handleTimeout(now)),
    );
    this.listener = listener;
  }

  /** Opens the link. Nothing is sent before {@link Driver.begin}. */
  async open(open: OpenLink, address: LinkAddress, signal: AbortSignal): Promise<void> {
    this.#link = await open(address, this, signal);
  }

  /** Sends `Hello`. Only after {@link Driver.open}. */
  begin(hello: Hello): void {
    this.#conversation = new Conversation(hello, this.#environment.monotonicNow());
    this.#run();
  }

  /** The transport of the link; `null` before it is open. */
  get transport(): TransportName | null {
    return this.#link?.transport ?? null;
  }

  /** Whether frames can be sent. */
  get isOpen(): boolean {
    return this.#conversation?.isOpen ?? false;
  }

  /** Sends a frame, if the connection is open. */
  send(frame: ClientFrame): void {
    if (this.isOpen) {
      this.#link?.send(frame);
      this.#input((conversation, now) => conversation.handleInput({ type: "sent" }, now));
    }
  }

  /** Checks whether the server replies within `deadlineMs`; if it does not, the connection is over. */
  check(deadlineMs: number): void {
    this.#input((conversation, now) => conversation.handleInput({ type: "check", deadlineMs }, now));
  }

  /** Sends `Bye` with `code` and closes. Before {@link Driver.begin} it closes without a `Bye`. */
  close(code: CloseCode = CloseCode.CLIENT_LEFT): void {
    if (this.#conversation === null) {
      this.#link?.close();
    }
    this.#input((conversation, now) => conversation.handleInput({ type: "close", code }, now));
  }

  /** Whether somebody looks at the page: then a server that is gone is found sooner. */
  watch(isWatched: boolean): void {
    this.#input((conversation, now) => conversation.handleInput({ type: "watch", isWatched }, now));
  }

  /** Counters of the link and the conversation. */
  stats(): DriverStats {
    const link = this.#link?.stats() ?? { sentBytes: 0, receivedBytes: 0, droppedSignals: 0 };
    const conversation = this.#conversation;
    return {
      ...link,
      roundTripMs: conversation?.roundTripMs ?? null,
      unknownFrames: conversation?.unknownFrames ?? 0,
      droppedDatagrams: conversation?.droppedDatagrams ?? 0,
    };
  }

  /** Of {@link LinkEvents}. */
  bytes(lane: StreamLane, bytes: Uint8Array): void {
    this.#input((conversation, now) => conversation.handleInput({ type: "bytes", lane, bytes }, now));
  }

  /** Of {@link LinkEvents}. */
  datagram(bytes: Uint8Array): void {
    this.#input((conversation, now) => conversation.handleInput({ type: "datagram", bytes }, now));
  }

  /** Of {@link LinkEvents}. */
  message(bytes: Uint8Array | null): void {
    if (bytes === null) {
      this.close(CloseCode.BAD_FRAME);
    } else {
      this.#input((conversation, now) => conversation.handleInput({ type: "message", bytes }, now));
    }
  }

  /** Of {@link LinkEvents}. */
  closed(): void {
    if (this.#conversation === null) {
      const closed = { code: null, shouldReconnect: true, retryAfterMs: 0 };
      this.listener.closed(this, closed);
    }
    this.#input((conversation, now) => conversation.handleInput({ type: "linkClosed" }, now));
  }

  #input(act: (conversation: Conversation, now: number) => void): void {
    if (this.#conversation !== null) {
      act(this.#conversation, this.#environment.monotonicNow());
      this.#run();
    }
  }

  /** Performs all outputs, then sets the deadline. A listener may call the driver in the meantime. */
  #run(): void {
    const conversation = this.#conversation;
    if (conversation === null || this.#isRunning) {
      return;
    }
    this.#isRunning = true;
    for (let output = conversation.pollOutput(); output !== null; output = conversation.pollOutput()) {
      switch (output.type) {
        case "transmit":
          this.#link?.send(output.frame);
          break;
        case "welcome":
          this.listener.welcome(this, output.welcome);
          break;
        case "push":
          this.listener.push(output.frame);
          break;
        case "goAway":
          this.listener.goAway(this, output.goAway);
          break;
        case "copied":
          this.#link?.startCopies();
          break;
        case "closed":
          this.#link?.close();
          this.listener.closed(this, output.closed);
          break;
      }
    }
    this.#isRunning = false;
    if (conversation.phase === "closing") {
      this.#link?.close(); // The link sends the `Bye` first.
    }
    this.#deadline.set(conversation.pollTimeout());
  }
}

/** Returns the end of a connection as an error. */
export function closedError({ code, retryAfterMs }: Closed): ConnectionClosedError {
  return new ConnectionClosedError(code, retryAfterMs);
}
