/**
 * What a message costs: the same with 10,000 messages held as with 10. Work is counted, not timed: how
 * often the position of any message is looked at, and how many rows are made.
 */
import { describe, expect, it } from "vitest";
import { Counted, FEW, MANY } from "../testing/counted.js";
import { at, CHAT } from "../testing/samples.js";
import type { ChatMessage } from "./view.js";

/** The two chats, made by the first test that needs them. */
const chats: { few?: Counted; many?: Counted } = {};

async function withFew(): Promise<Counted> {
  chats.few ??= await Counted.holding(FEW);
  return chats.few;
}

async function withMany(): Promise<Counted> {
  chats.many ??= await Counted.holding(MANY);
  return chats.many;
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
    const [few, many] = [await withFew(), await withMany()];
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
    const many = await withMany();
    const before = new Set<ChatMessage>(many.chat.messages);
    act(many);
    expect(many.chat.messages.filter((row) => !before.has(row))).toHaveLength(made);
  });
});

describe("the list of messages", () => {
  it("is not put together while nobody reads it", async () => {
    const few = await withFew();
    const { messages } = few.chat;
    const { length } = messages;
    expect(few.chat.messages).toBe(messages);
    few.next();
    expect(messages).toHaveLength(length);
    expect(few.chat.messages).toHaveLength(length + 1);
  });
});
