/**
 * How far the user has received and read, reported to the server once for a burst of messages.
 *
 * @module
 */

import type { Port } from "../connection/port.js";
import type { Member } from "../generated/chat.js";
import type { ChatId } from "../generated/id.js";
import { comparePosition, type Position } from "../generated/position.js";
import type { ChatLog } from "./log.js";

/** Cursors are collected for this long, so that a burst of messages costs one frame. */
const CURSOR_DELAY_MS = 50;

/** The cursors of the user in one chat. */
export class OwnCursors {
  readonly #port: Port;
  readonly #id: ChatId;
  readonly #log: ChatLog;
  #delivered: Position;
  #read: Position;
  #wantsRead = false;
  #cancel: (() => void) | null = null;
  #isStopped = false;

  /** `me` has the cursors that the server knows. */
  constructor(port: Port, id: ChatId, log: ChatLog, me: Member) {
    this.#port = port;
    this.#id = id;
    this.#log = log;
    this.#delivered = me.delivered;
    this.#read = me.read;
  }

  /** There is a new link; `me` has the cursors that the server knows. */
  reset(me: Member): void {
    this.#delivered = me.delivered;
    this.#read = me.read;
    this.advance();
  }

  /** A message may have come. */
  advance(): void {
    if (this.#cancel === null && !this.#isStopped) {
      this.#cancel = this.#port.environment.schedule(CURSOR_DELAY_MS, () => {
        this.#cancel = null;
        this.#send();
      });
    }
  }

  /** The user has read all messages that are held. */
  read(): void {
    this.#wantsRead = true;
    this.advance();
  }

  /** Stops reporting. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  /** `Read` implies `Delivered`, so one of the two frames is enough. */
  #send(): void {
    if (!this.#port.isReady) {
      return;
    }
    const { position } = this.#log;
    if (this.#wantsRead && this.#isNews(this.#read)) {
      this.#read = position;
      this.#delivered = position;
      this.#port.send({ kind: "read", chat: this.#id, position });
    } else if (this.#isNews(this.#delivered)) {
      this.#delivered = position;
      this.#port.send({ kind: "delivered", chat: this.#id, position });
    }
    this.#wantsRead = false;
  }

  /** Whether there is a message of another member after `sent` and before the first hole. */
  #isNews(sent: Position): boolean {
    const { position, newestTheirs } = this.#log;
    return comparePosition(position, sent) > 0 && newestTheirs > sent.seq;
  }
}
