/**
 * Sends the messages of one chat: each is sent, perhaps sent again, and acked or refused.
 *
 * @module
 */

import type { Port } from "../connection/port.js";
import type { Reply } from "../connection/requests.js";
import { type NoWrongError, RequestError, TimeoutError } from "../error.js";
import type { Body } from "../generated/chat.js";
import { ErrorCode } from "../generated/code.js";
import type { ChatId, ClientMessageId } from "../generated/id.js";
import type { Position } from "../generated/position.js";
import { uuidV7 } from "../id.js";
import { Outbox, type Unacked } from "./outbox.js";

/** Wait before sending a message again that the server could not take, when it names no time. */
const RETRY_MS = 1_000;

/** What sending needs of its chat, and reports to it. */
export interface SendingChat {
  /** Whether the server has reported the chat on the present link. */
  canSend(): boolean;
  /** A message was put into the outbox. */
  wrote(message: Unacked): void;
  /** A message is durable, at this position. */
  acked(message: Unacked, position: Position, atMs: number): void;
  /** A message was refused for good. */
  failed(message: Unacked, error: RequestError): void;
}

interface Ack {
  readonly resolve: (position: Position) => void;
  readonly reject: (error: NoWrongError) => void;
}

/** The sending side of one chat. */
export class Sending {
  /** The messages without an ack. */
  readonly outbox = new Outbox();
  readonly #port: Port;
  readonly #id: ChatId;
  readonly #chat: SendingChat;
  readonly #acks = new Map<ClientMessageId, Ack>();
  #cancelRetry: () => void = () => undefined;

  constructor(port: Port, id: ChatId, chat: SendingChat) {
    this.#port = port;
    this.#id = id;
    this.#chat = chat;
  }

  /**
   * Accepts a message, and sends it as soon as there is a connection.
   *
   * @throws QueueFullError when too many have no ack yet.
   */
  send(
    body: Body,
    replyTo: Position | null,
  ): { readonly id: ClientMessageId; readonly acked: Promise<Position> } {
    const { environment } = this.#port;
    const atMs = environment.now();
    const id = uuidV7(atMs, environment.randomBytes(10));
    const message = { clientMessageId: id, body, replyTo, atMs };
    this.outbox.push(message);
    this.#chat.wrote(message);
    const acked = new Promise<Position>((resolve, reject) => this.#acks.set(id, { resolve, reject }));
    // If nobody awaits `acked`, the `failed` event of the chat still reports the failure while the chat is open.
    acked.catch(() => undefined);
    this.flush();
    return { id, acked };
  }

  /** Sends what can be sent now. */
  flush(): void {
    if (!this.#port.isReady || !this.#chat.canSend()) {
      return;
    }
    const now = this.#port.environment.monotonicNow();
    for (let message = this.outbox.next(now); message !== null; message = this.outbox.next(now)) {
      this.#transmit(message);
    }
  }

  /** The link is lost: everything is sent again over the next one. */
  linkLost(): void {
    this.#cancelRetry();
    this.outbox.linkLost();
  }

  /**
   * The chat has ended: a message that was never sent fails with `error`. The server says of each of the
   * others whether it arrived, since the partner may have it; until then it is sent again over each new link.
   */
  end(error: NoWrongError): readonly Unacked[] {
    return this.#fail(this.outbox.drainUnsent(), error);
  }

  /** Stops sending; every message without an ack fails with `error`. Returns them. */
  stop(error: NoWrongError): readonly Unacked[] {
    this.#cancelRetry();
    return this.#fail(this.outbox.drain(), error);
  }

  #fail(messages: readonly Unacked[], error: NoWrongError): readonly Unacked[] {
    for (const { clientMessageId: id } of messages) {
      this.#acks.get(id)?.reject(error);
      this.#acks.delete(id);
    }
    return messages;
  }

  #transmit(message: Unacked): void {
    const { clientMessageId, body, replyTo } = message;
    const chat = this.#id;
    this.#port.request(
      (request) => ({ kind: "send", request, chat, clientMessageId, replyTo, body }),
      (reply, error) => this.#settle(message, reply, error),
    );
  }

  #settle(message: Unacked, reply: Reply | null, error: NoWrongError | null): void {
    if (reply?.kind === "ack") {
      this.#acked(message, reply.position, reply.atMs);
    } else if (error instanceof RequestError) {
      this.#refused(message, error);
    } else if (error instanceof TimeoutError) {
      this.#port.resync();
    }
    this.flush();
  }

  #acked(message: Unacked, position: Position, atMs: number): void {
    const id = message.clientMessageId;
    if (this.outbox.remove(id)) {
      this.#acks.get(id)?.resolve(position);
      this.#acks.delete(id);
      this.#chat.acked(message, position, atMs);
    }
  }

  #refused(message: Unacked, error: RequestError): void {
    const id = message.clientMessageId;
    if (error.isTemporary) {
      const waitMs = Math.max(error.retryAfterMs, RETRY_MS);
      this.outbox.postpone(id, this.#port.environment.monotonicNow() + waitMs);
      this.#cancelRetry();
      this.#cancelRetry = this.#port.environment.schedule(waitMs, () => this.flush());
    } else if (this.outbox.remove(id)) {
      // A chat that the server does not know has ended, and was erased.
      const isGone = error.code === ErrorCode.CHAT_UNKNOWN;
      const final = isGone ? new RequestError({ code: ErrorCode.CHAT_ENDED }) : error;
      this.#acks.get(id)?.reject(final);
      this.#acks.delete(id);
      this.#chat.failed(message, final);
    }
  }
}
