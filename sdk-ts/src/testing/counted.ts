/**
 * A chat with many messages that counts how often the position of any of them is looked at.
 */
import type { Chat } from "../chat/chat.js";
import type { Message } from "../generated/chat.js";
import { CHAT_MESSAGES_MAX } from "../generated/limits.js";
import type { Position } from "../generated/position.js";
import { at, CHAT, message } from "./samples.js";
import { World } from "./world.js";

export const FEW = 10;
export const MANY = CHAT_MESSAGES_MAX - 1_000;

/** A chat whose messages count each read of their position. */
export class Counted {
  readonly world: World;
  readonly chat: Chat;
  looks = 0;
  #seq = 0;

  private constructor(world: World, chat: Chat) {
    this.world = world;
    this.chat = chat;
  }

  /** A chat with `held` messages, of both members in turn. */
  static async holding(held: number): Promise<Counted> {
    const world = new World();
    const counted = new Counted(world, await world.chat());
    while (counted.#seq < held) {
      counted.next(counted.#seq % 2);
    }
    await world.environment.advance(100);
    return counted;
  }

  /** The next message comes. */
  next(member = 1): void {
    this.#seq += 1;
    this.chat.handle(this.#message(member));
  }

  /** The user writes a message, and the server acks it. */
  sendAcked(): void {
    this.#seq += 1;
    this.chat.send("hello");
    const { request } = this.world.socket.last("send");
    this.world.say({ kind: "ack", request, position: at(1, this.#seq), atMs: 1 });
  }

  /** The partner has read everything. */
  readAll(): void {
    const cursor = at(1, this.#seq);
    this.chat.handle({ kind: "readCursor", chat: CHAT, member: 1, delivered: cursor, read: cursor });
  }

  /** Returns how often `act` reads the position of any message. */
  async cost(act: () => void): Promise<number> {
    this.looks = 0;
    act();
    await this.world.environment.advance(100);
    return this.looks;
  }

  #message(member: number): Message {
    const seq = this.#seq;
    const look = () => {
      this.looks += 1;
    };
    const position: Position = {
      get epoch() {
        look();
        return 1;
      },
      get seq() {
        look();
        return seq;
      },
    };
    return { ...message(at(1, seq), "x", { member }), position };
  }
}
