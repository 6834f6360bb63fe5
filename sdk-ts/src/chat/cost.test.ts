/**
 * What a message costs: the same with 10,000 messages held as with 10. Work is counted, not timed: how
 * often the position of any message is looked at, and how many rows are made.
 */
import { describe, expect, it } from "vitest";
import type { Message } from "../generated/chat.js";
import { CHAT_MESSAGES_MAX } from "../generated/limits.js";
import type { Position } from "../generated/position.js";
import { at, CHAT, message } from "../testing/samples.js";
import { World } from "../testing/world.js";
import type { Chat } from "./chat.js";
import type { ChatMessage } from "./view.js";

const FEW = 10;
const MANY = CHAT_MESSAGES_MAX - 1_000;

/** A chat that holds messages whose every look at a position counts. */
class Counted {
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

  /** Looks at positions during `act`. */
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

describe("the work for a message", () => {
  it.each<[string, (counted: Counted) => void]>([
    ["that comes", (counted) => counted.next()],
    ["of one's own that comes from another connection", (counted) => counted.next(0)],
    ["that is sent and acked", (counted) => counted.sendAcked()],
    [
      "that the partner reads",
      (counted) => {
        counted.sendAcked();
        counted.readAll();
      },
    ],
    [
      "that comes and is read",
      (counted) => {
        counted.next();
        counted.chat.read();
      },
    ],
  ])("%s is the same with 10 held and with thousands", async (_, act) => {
    const few = await Counted.holding(FEW);
    const many = await Counted.holding(MANY);
    // The first of its kind moves cursors from far back; the second is as every other.
    for (const counted of [few, many]) {
      await counted.cost(() => act(counted));
    }
    expect(await many.cost(() => act(many))).toBe(await few.cost(() => act(few)));
  });
});

describe("the rows of a message", () => {
  it.each<[string, (counted: Counted) => void, number]>([
    ["that comes: one is made", (counted) => counted.next(), 1],
    ["that is sent and acked: one is made for each", (counted) => counted.sendAcked(), 1],
    [
      "that is deleted: one is made",
      (counted) => counted.chat.handle({ kind: "deleted", chat: CHAT, position: at(1, 5) }),
      1,
    ],
    ["that the partner types: none", (counted) => counted.chat.typing(), 0],
  ])("%s, and every other stays the object that it is", async (_, act, made) => {
    const counted = await Counted.holding(1_000);
    const before = new Set<ChatMessage>(counted.chat.messages);
    act(counted);
    expect(counted.chat.messages.filter((row) => !before.has(row))).toHaveLength(made);
  });
});

describe("the list of messages", () => {
  it("is not put together while nobody reads it", async () => {
    const counted = await Counted.holding(FEW);
    const { messages } = counted.chat;
    expect(counted.chat.messages).toBe(messages);
    counted.next();
    expect(messages).toHaveLength(FEW);
    expect(counted.chat.messages).toHaveLength(FEW + 1);
  });
});

describe("the time for a message", () => {
  /** Milliseconds for `count` messages. */
  function time(counted: Counted, count: number): number {
    const start = performance.now();
    for (let index = 0; index < count; index += 1) {
      counted.next(index % 2);
    }
    return performance.now() - start;
  }

  it("with thousands held is of the order of that with few", async () => {
    const ratios: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const few = await Counted.holding(FEW);
      const many = await Counted.holding(MANY);
      time(few, 100);
      time(many, 100);
      ratios.push(time(many, 500) / time(few, 500));
    }
    ratios.sort((a, b) => a - b);
    // It was 70 when each message sorted all others; the median of five rounds bears a busy machine.
    expect(ratios[2]).toBeLessThan(8);
  });
});
