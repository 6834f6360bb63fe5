/**
 * How far one has received and read, told to the server once for a burst.
 *
 * @module
 */

import type { Port } from "../connection/port.js";
import type { Member } from "../generated/chat.js";
import type { ChatId } from "../generated/id.js";
import { comparePosition, type Position } from "../generated/position.js";
import type { ChatLog } from "./log.js";

/** Cursors are gathered this long, so that a burst of messages costs one. */
const CURSOR_DELAY_MS = 50;

/** One's own cursors in one chat. */
export class OwnCursors {
  readonly #port: Port;
  readonly #id: ChatId;
  readonly #log: ChatLog;
  #delivered: Position;
  #read: Position;
  #wantsRead = false;
  #cancel: (() => void) | null = null;
  #isStopped = false;

  /** `me` is what the server knows of the user. */
  constructor(port: Port, id: ChatId, log: ChatLog, me: Member) {
    this.#port = port;
    this.#id = id;
    this.#log = log;
    this.#delivered = me.delivered;
    this.#read = me.read;
  }

  /** A new connection: this is what the server knows. */
  reset(me: Member): void {
    this.#delivered = me.delivered;
    this.#read = me.read;
    this.advance();
  }

  /** Something may have come. */
  advance(): void {
    if (this.#cancel === null && !this.#isStopped) {
      this.#cancel = this.#port.environment.schedule(CURSOR_DELAY_MS, () => {
        this.#cancel = null;
        this.#send();
      });
    }
  }

  /** Everything that is here has been read. */
  read(): void {
    this.#wantsRead = true;
    this.advance();
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  /** `Read` implies `Delivered`, so one of the two is enough. */
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

  /** Whether there is a message of somebody else after `sent`, below the first hole. */
  #isNews(sent: Position): boolean {
    const { position, newestTheirs } = this.#log;
    return comparePosition(position, sent) > 0 && newestTheirs > sent.seq;
  }
}
