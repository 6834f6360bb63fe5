/**
 * The client's side of one connection, without IO: the TypeScript twin of `ClientConversation`.
 *
 * Its inputs are events of a link and the time; its outputs say what to do. It owns the phases, the
 * deadlines of a connection, the pings, and the verdict on each frame of the server; it never touches a
 * socket or a clock. After each `handleInput` and `handleTimeout`, call `pollOutput` until it returns `null`.
 *
 * @module
 */

import { CloseCode, closeCodeInfo, shouldReconnect } from "../generated/code.js";
import type { Bye, GoAway, Hello, LaneCopy, Welcome } from "../generated/connect.js";
import {
  type ClientFrame,
  decodeServerFrame,
  FRAMES,
  type FrameInfo,
  FrameType,
  type ServerFrame,
} from "../generated/frame.js";
import {
  CLOSE_DEADLINE_MS,
  DATAGRAM_BYTES_MAX,
  FRAME_BYTES_MAX,
  HELLO_DEADLINE_MS,
  PARTIAL_FRAME_DEADLINE_MS,
  PING_INTERVAL_MS,
  PONG_DEADLINE_MS,
  QUICK_FOR_MS,
  QUICK_PING_INTERVAL_MS,
  QUICK_PONG_DEADLINE_MS,
  UNKNOWN_FRAMES_MAX,
} from "../generated/limits.js";
import { CopyReader } from "./copies.js";
import { Decoder, decodeDatagram, FrameTooLargeError, type RawFrame, type StreamLane } from "./envelope.js";

/** Shortest ping interval that a server can ask for: with zero the client would ping without a pause. */
const PING_INTERVAL_MIN_MS = 1_000;

/** Round trips that a pong may take: a slow path is not a dead one. */
const QUICK_ROUND_TRIPS = 3;

/** A deadline that is noticed later than this was missed by the page itself: it slept, or was busy. */
const STALL_MS = 1_000;

/** The phases of a conversation. They follow in this order, and any of them may be skipped. */
export type Phase = "verdict" | "ready" | "draining" | "closing" | "closed";

/** What happened, as the shell reports it. */
export type Input =
  /** Bytes of a stream of a WebTransport link, in any pieces. */
  | { readonly type: "bytes"; readonly lane: StreamLane; readonly bytes: Uint8Array }
  /** One datagram. */
  | { readonly type: "datagram"; readonly bytes: Uint8Array }
  /** One binary WebSocket message: one or more complete frames. */
  | { readonly type: "message"; readonly bytes: Uint8Array }
  /** The shell has sent a frame: a ping can wait. */
  | { readonly type: "sent" }
  /** Whether a person looks at the page. While one does and something was said lately, pings are quick. */
  | { readonly type: "watch"; readonly isWatched: boolean }
  /** Check now whether the server is there: send a ping, and wait only this long for the pong. */
  | { readonly type: "check"; readonly deadlineMs: number }
  /** The shell ends the connection. */
  | { readonly type: "close"; readonly code: CloseCode }
  /** The link is closed or lost. */
  | { readonly type: "linkClosed" };

/** How a connection ended. */
export interface Closed {
  /** The reason, from {@link CloseCode}; `null` when the link was lost without a `Bye`. */
  readonly code: CloseCode | null;
  /** Whether to connect again without asking the user. */
  readonly shouldReconnect: boolean;
  /** Earliest time to connect again, in milliseconds from now; 0 when it does not matter. */
  readonly retryAfterMs: number;
}

/** What the shell must do. */
export type Output =
  /** Send a frame: `Hello` (the first output), `Ping`, `Pong` or `Bye`. */
  | { readonly type: "transmit"; readonly frame: ClientFrame }
  /** The connection is open: requests may be sent from now on. */
  | { readonly type: "welcome"; readonly welcome: Welcome }
  /** Handle a reply, push or signal; never one of the frames that the conversation handles itself. */
  | { readonly type: "push"; readonly frame: ServerFrame }
  /** The server is going away: connect again after the time given, then close this connection. */
  | { readonly type: "goAway"; readonly goAway: GoAway }
  /** The server sends copies: the link loses packets, so that our frames may need copies as well. */
  | { readonly type: "copied" }
  /** The conversation is over: close the link, if it is still open. The last output. */
  | { readonly type: "closed"; readonly closed: Closed };

const INFO_BY_TYPE: ReadonlyMap<number, FrameInfo> = new Map(FRAMES.map((info) => [info.type, info]));

/** A frame broke the protocol, and ends the connection with this code. */
class Violation {
  readonly code: CloseCode;
  constructor(code: CloseCode) {
    this.code = code;
  }
}

/** The client's side of one connection. */
export class Conversation {
  #phase: Phase = "verdict";
  #now: number;
  /** When the phase `verdict` or `closing` ends by itself. */
  #phaseDeadline: number | null;
  #pingIntervalMs = PING_INTERVAL_MS;
  #pongDeadlineMs = PONG_DEADLINE_MS;
  #lastSent: number;
  #lastHeard: number;
  /** When the ping was sent that has no pong yet. */
  #pingedAt: number | null = null;
  /** Whether the page was not running when the pong was due, so that the pong may wait to be read. */
  #isStalled = false;
  #isWatched = false;
  /** When either side last said something that is not a ping; `null` before that. */
  #saidAt: number | null = null;
  #nextNonce = 1;
  #roundTripMs: number | null = null;
  readonly #lanes = { live: new LaneInbox(), bulk: new LaneInbox() };
  readonly #copies = new CopyReader();
  #outputs: Output[];
  #closingCode: CloseCode = CloseCode.CLIENT_LEFT;
  #unknownFrames = 0;
  #droppedDatagrams = 0;

  /** Begins with `hello`; `now` is the time at which the link was opened. */
  constructor(hello: Hello, now: number) {
    this.#now = now;
    this.#phaseDeadline = now + 2 * HELLO_DEADLINE_MS;
    this.#lastSent = now;
    this.#lastHeard = now;
    this.#outputs = [{ type: "transmit", frame: hello }];
  }

  /** The present phase. */
  get phase(): Phase {
    return this.#phase;
  }

  /** Whether requests may be sent, and replies and pushes come. */
  get isOpen(): boolean {
    return this.#phase === "ready" || this.#phase === "draining";
  }

  /** Time from the last `Ping` that was answered to its `Pong`, in milliseconds; `null` before the first. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /** The number of frames that were skipped because their type is unknown. */
  get unknownFrames(): number {
    return this.#unknownFrames;
  }

  /**
   * The number of datagrams that were dropped: malformed, unknown, out of phase, of another lane, or copies
   * behind a gap.
   */
  get droppedDatagrams(): number {
    return this.#droppedDatagrams;
  }

  /** Handles what happened at `now`. */
  handleInput(input: Input, now: number): void {
    this.#now = now;
    if (input.type === "linkClosed") {
      this.#handleLinkClosed();
      return;
    }
    if (this.#phase === "closing" || this.#phase === "closed") {
      return;
    }
    switch (input.type) {
      case "bytes":
        this.#handleBytes(input.lane, input.bytes);
        break;
      case "message":
        this.#handleMessage(input.bytes);
        break;
      case "datagram":
        this.#handleDatagram(input.bytes);
        break;
      case "sent":
        this.#lastSent = now;
        this.#saidAt = now;
        break;
      case "watch":
        this.#isWatched = input.isWatched;
        break;
      case "check":
        this.#check(input.deadlineMs);
        break;
      case "close":
        this.#close(input.code);
        break;
    }
  }

  /** Handles what is due at `now`: a ping, or the end of the connection. An early call does nothing. */
  handleTimeout(now: number): void {
    this.#now = now;
    const isDue = (deadline: number | null) => deadline !== null && deadline <= now;
    if (isDue(this.#phaseDeadline)) {
      this.#end(this.#phase === "verdict" ? CloseCode.IDLE : this.#closingCode, 0);
    } else if (isDue(this.#pongDeadline())) {
      this.#missPong();
    } else if (isDue(this.#partialDeadline())) {
      this.#close(CloseCode.FRAME_LATE);
    } else if (isDue(this.#quickPingDeadline())) {
      this.#pongDeadlineMs = this.#quickPongDeadlineMs();
      this.#ping();
    } else if (isDue(this.#pingDeadline())) {
      this.#ping();
    }
  }

  /** Returns the next output, or `null`. */
  pollOutput(): Output | null {
    return this.#outputs.shift() ?? null;
  }

  /** When to call {@link Conversation.handleTimeout}; `null` when nothing is due any more. */
  pollTimeout(): number | null {
    const deadlines = [
      this.#phaseDeadline,
      this.#pongDeadline(),
      this.#partialDeadline(),
      this.#quickPingDeadline(),
      this.#pingDeadline(),
    ];
    return deadlines.reduce((a, b) => (a === null || (b !== null && b < a) ? b : a), null);
  }

  /** Due when either side was silent. Our ping keeps the server from closing, and tests whether it is there. */
  #pingDeadline(): number | null {
    const isDue = this.isOpen && this.#pingedAt === null;
    return isDue ? Math.min(this.#lastSent, this.#lastHeard) + this.#pingIntervalMs : null;
  }

  /** A person who reads and writes nothing learns soon that the server is gone, while it matters. */
  #quickPingDeadline(): number | null {
    const dueAt = this.#lastHeard + QUICK_PING_INTERVAL_MS;
    const isLately = this.#saidAt !== null && dueAt < this.#saidAt + QUICK_FOR_MS;
    return isLately && this.#isWatched && this.isOpen && this.#pingedAt === null ? dueAt : null;
  }

  #quickPongDeadlineMs(): number {
    const roundTripsMs = QUICK_ROUND_TRIPS * (this.#roundTripMs ?? 0);
    return Math.min(Math.max(QUICK_PONG_DEADLINE_MS, roundTripsMs), PONG_DEADLINE_MS);
  }

  /** The connection is dead, unless the pong may have come while the page was not running: then it waits once more. */
  #missPong(): void {
    if (!this.#isStalled && this.#now - (this.#pongDeadline() ?? 0) >= STALL_MS) {
      this.#isStalled = true;
      this.#pingedAt = this.#now;
    } else {
      this.#end(CloseCode.IDLE, 0);
    }
  }

  /** While frames keep coming, the `Pong` is only queued behind them. */
  #pongDeadline(): number | null {
    if (this.#pingedAt === null || !this.isOpen) {
      return null;
    }
    return Math.max(this.#pingedAt, this.#lastHeard) + this.#pongDeadlineMs;
  }

  #partialDeadline(): number | null {
    if (this.#phase === "closing" || this.#phase === "closed") {
      return null;
    }
    const { live, bulk } = this.#lanes;
    const begun = Math.min(
      live.begunAt ?? Number.POSITIVE_INFINITY,
      bulk.begunAt ?? Number.POSITIVE_INFINITY,
    );
    return Number.isFinite(begun) ? begun + PARTIAL_FRAME_DEADLINE_MS : null;
  }

  #handleBytes(lane: StreamLane, bytes: Uint8Array): void {
    if (lane === "bulk" && !this.isOpen) {
      this.#close(CloseCode.OUT_OF_PHASE);
      return;
    }
    this.#lastHeard = this.#now;
    this.#readLane(lane, lane === "live" ? this.#copies.stream(bytes) : bytes);
  }

  #handleCopy(copy: LaneCopy): void {
    this.#lastHeard = this.#now;
    this.#outputs.push({ type: "copied" });
    const fresh = this.#copies.copy(copy);
    if (fresh === null) {
      this.#droppedDatagrams += 1;
    } else if (fresh.length > 0) {
      this.#readLane("live", fresh);
    }
  }

  #handleMessage(bytes: Uint8Array): void {
    this.#lastHeard = this.#now;
    this.#readLane("live", bytes);
    if (this.#lanes.live.decoder.isPartial && this.#phase !== "closing") {
      this.#close(CloseCode.BAD_FRAME);
    }
  }

  #readLane(lane: StreamLane, bytes: Uint8Array): void {
    const inbox = this.#lanes[lane];
    inbox.decoder.push(bytes);
    try {
      for (let raw = inbox.decoder.nextFrame(FRAME_BYTES_MAX); raw !== null && !this.#isOver(); ) {
        inbox.begunAt = null;
        this.#handleFrame(this.#judge(lane, raw));
        raw = inbox.decoder.nextFrame(FRAME_BYTES_MAX);
      }
    } catch (error) {
      this.#close(violationCode(error));
    }
    inbox.begunAt = inbox.decoder.isPartial ? (inbox.begunAt ?? this.#now) : null;
  }

  #isOver(): boolean {
    return this.#phase === "closing" || this.#phase === "closed";
  }

  /** Returns the frame, or throws a {@link Violation} when it must not be sent here and now. */
  #judge(lane: StreamLane, raw: RawFrame): ServerFrame {
    const info = INFO_BY_TYPE.get(raw.type);
    const isWelcome = raw.type === FrameType.welcome;
    const isAllowed = this.#phase === "verdict" ? isWelcome || raw.type === FrameType.bye : !isWelcome;
    if (!isAllowed || info?.sender === "client") {
      throw new Violation(CloseCode.OUT_OF_PHASE);
    }
    if (lane === "bulk" && info !== undefined && info.lane !== "bulk" && raw.type !== FrameType.fail) {
      throw new Violation(CloseCode.WRONG_LANE);
    }
    return decodeServerFrame(raw.type, raw.body);
  }

  #handleDatagram(bytes: Uint8Array): void {
    const frame = this.isOpen ? readDatagram(bytes) : null;
    if (frame === null) {
      this.#droppedDatagrams += 1;
    } else if (frame.kind === "laneCopy") {
      this.#handleCopy(frame);
    } else {
      this.#push(frame);
    }
  }

  #push(frame: ServerFrame): void {
    this.#saidAt = this.#now;
    this.#outputs.push({ type: "push", frame });
  }

  #handleFrame(frame: ServerFrame): void {
    switch (frame.kind) {
      case "welcome":
        this.#handleWelcome(frame);
        break;
      case "bye":
        this.#end(frame.code, frame.retryAfterMs);
        break;
      case "goAway":
        this.#phase = "draining";
        this.#outputs.push({ type: "goAway", goAway: frame });
        break;
      case "ping":
        this.#transmit({ kind: "pong", nonce: frame.nonce });
        break;
      case "pong":
        this.#handlePong();
        break;
      case "laneCopy":
        break; // A copy that comes on the lane itself, or on a WebSocket, holds nothing new.
      case "unknown":
        this.#countUnknown();
        break;
      default:
        this.#push(frame);
    }
  }

  #handleWelcome(welcome: Welcome): void {
    this.#pingIntervalMs = Math.max(welcome.limits.pingIntervalMs, PING_INTERVAL_MIN_MS);
    this.#phase = "ready";
    this.#phaseDeadline = null;
    this.#outputs.push({ type: "welcome", welcome });
  }

  #handlePong(): void {
    if (this.#pingedAt !== null) {
      this.#roundTripMs = this.#now - this.#pingedAt;
    }
    this.#pingedAt = null;
    this.#isStalled = false;
    this.#pongDeadlineMs = PONG_DEADLINE_MS;
  }

  #countUnknown(): void {
    this.#unknownFrames += 1;
    if (this.#unknownFrames > UNKNOWN_FRAMES_MAX) {
      this.#close(CloseCode.TOO_MANY_UNKNOWN);
    }
  }

  #handleLinkClosed(): void {
    if (this.#phase === "closing") {
      this.#end(this.#closingCode, 0);
    } else if (this.#phase !== "closed") {
      this.#end(null, 0);
    }
  }

  #check(deadlineMs: number): void {
    if (this.isOpen) {
      this.#pongDeadlineMs = Math.min(this.#pongDeadlineMs, deadlineMs);
      if (this.#pingedAt === null) {
        this.#ping();
      }
    }
  }

  #ping(): void {
    this.#pingedAt = this.#now;
    this.#transmit({ kind: "ping", nonce: this.#nextNonce });
    this.#nextNonce = (this.#nextNonce + 1) >>> 0;
  }

  #transmit(frame: ClientFrame): void {
    this.#lastSent = this.#now;
    this.#outputs.push({ type: "transmit", frame });
  }

  #close(code: CloseCode): void {
    const bye: Bye = { kind: "bye", code, retryAfterMs: 0, reason: closeCodeInfo(code).text };
    this.#closingCode = code;
    this.#phase = "closing";
    this.#phaseDeadline = this.#now + CLOSE_DEADLINE_MS;
    this.#transmit(bye);
  }

  #end(code: CloseCode | null, retryAfterMs: number): void {
    this.#phase = "closed";
    this.#phaseDeadline = null;
    const isRetried = code === null || shouldReconnect(code);
    this.#outputs.push({ type: "closed", closed: { code, shouldReconnect: isRetried, retryAfterMs } });
  }
}

/** The part of an incomplete frame that a lane has received. */
class LaneInbox {
  readonly decoder = new Decoder();
  /** When the first byte of that frame came; `null` when there is none. */
  begunAt: number | null = null;
}

function violationCode(error: unknown): CloseCode {
  if (error instanceof Violation) {
    return error.code;
  }
  return error instanceof FrameTooLargeError ? CloseCode.FRAME_TOO_LARGE : CloseCode.BAD_FRAME;
}

function readDatagram(bytes: Uint8Array): ServerFrame | null {
  if (bytes.length > DATAGRAM_BYTES_MAX) {
    return null;
  }
  try {
    const raw = decodeDatagram(bytes);
    const info = INFO_BY_TYPE.get(raw.type);
    return info?.lane === "datagram" && info.sender !== "client"
      ? decodeServerFrame(raw.type, raw.body)
      : null;
  } catch {
    return null;
  }
}
