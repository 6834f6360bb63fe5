import type { Chat } from "../chat/chat.js";
import { Connection } from "../connection/connection.js";
import { FailureMemory, type Grant } from "../connection/race.js";
import type { ErrorCode } from "../generated/code.js";
import type { Welcome } from "../generated/connect.js";
import type { ServerFrame } from "../generated/frame.js";
import type { Ticket } from "../queue/ticket.js";
import { FakeEnvironment, settle } from "./environment.js";
import { chatState, ticketState, welcome } from "./samples.js";
import type { FakeSocket } from "./socket.js";

/** A connection over fake WebSockets, and the server's end of them. */
export class World {
  readonly environment = new FakeEnvironment();
  readonly connection: Connection;
  readonly failures = new FailureMemory();
  grants = 0;
  /** The address for WebTransport in the grants. */
  webtransport: string | null = null;
  /** The hash of its certificate. */
  certificateHash: Uint8Array<ArrayBuffer> | null = null;
  /** Thrown by the next requests for a connect token. */
  grantError: Error | null = null;

  constructor() {
    this.connection = Connection.create({
      environment: this.environment,
      transports: ["webtransport", "websocket"],
      failures: this.failures,
      grant: () => this.#grant(),
    });
  }

  #grant(): Promise<Grant> {
    this.grants += 1;
    if (this.grantError !== null) {
      return Promise.reject(this.grantError);
    }
    return Promise.resolve({
      connectToken: `token-${this.grants}`,
      webtransport:
        this.webtransport === null ? null : { url: this.webtransport, certificateHash: this.certificateHash },
      websocket: { url: "ws://host/v1/websocket", certificateHash: null },
    });
  }

  /** The socket opened last. */
  get socket(): FakeSocket {
    const socket = this.environment.sockets.at(-1);
    if (socket === undefined) {
      throw new Error("no socket was opened");
    }
    return socket;
  }

  say(...frames: ServerFrame[]): void {
    this.socket.say(...frames);
  }

  /** Opens the last socket, and sends `Welcome` over it. */
  async greet(parts: Partial<Welcome> = {}, ...more: ServerFrame[]): Promise<void> {
    await settle();
    this.socket.open();
    await settle();
    this.say(welcome(parts), ...more);
    await settle();
  }

  /** Loses the link, and lets the client come back. */
  async reconnect(parts: Partial<Welcome> = {}, ...more: ServerFrame[]): Promise<void> {
    const before = this.environment.sockets.length;
    this.socket.lose();
    await this.environment.advance(1_000);
    if (this.environment.sockets.length === before) {
      throw new Error("the client did not come back");
    }
    await this.greet(parts, ...more);
  }

  /** A waiting ticket. */
  async ticket(): Promise<Ticket> {
    await this.greet();
    const joined = this.connection.join("music");
    this.say({ kind: "queued", request: this.socket.last("join").request, ticket: ticketState() });
    return await joined;
  }

  /** The server refuses the request that the client sent last of this kind. */
  refuse(
    kind: "send" | "join" | "next" | "leave" | "cancel" | "block",
    code: ErrorCode,
    retryAfterMs = 0,
  ): void {
    const { request } = this.socket.last(kind);
    this.say({ kind: "fail", request, code, retryAfterMs, detail: "" });
  }

  /** A chat with Bob. */
  async chat(): Promise<Chat> {
    await this.greet();
    const joined = this.connection.join("music");
    const { request } = this.socket.last("join");
    this.say({ kind: "queued", request, ticket: ticketState() });
    this.say({ kind: "matched", ticket: ticketState().ticket, chat: chatState() });
    return (await joined).matched;
  }
}
