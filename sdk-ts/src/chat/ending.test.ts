import { describe, expect, it, vi } from "vitest";
import { ErrorCode } from "../generated/code.js";
import { RESUME_CHATS_MAX, UNACKED_SENDS_MAX } from "../generated/limits.js";
import { settle } from "../testing/environment.js";
import { at, CHAT, chatState, message, TICKET } from "../testing/samples.js";
import { World } from "../testing/world.js";
import type { Chat } from "./chat.js";

const OTHER = `${CHAT.slice(0, -2)}99`;
const ENDED = { kind: "ended", chat: CHAT, reason: "left", member: 1, expiresAtMs: 5 } as const;

function shown(chat: Chat): unknown[] {
  return chat.messages.map(({ body, status }) => [body.kind === "text" ? body.text : null, status]);
}

function ack(world: World, seq: number): void {
  const { request } = world.socket.last("send");
  world.say({ kind: "ack", request, position: at(1, seq), atMs: 2_000_000 });
}

describe("a message that was sent before the end of its chat", () => {
  it("waits for what the server says of it: the partner may have it", async () => {
    const world = new World();
    const chat = await world.chat();
    const failed = vi.fn();
    chat.on("failed", failed);
    const sent = chat.send("seen");
    world.say(ENDED);
    expect([chat.end?.reason, shown(chat)]).toEqual(["left", [["seen", "pending"]]]);
    ack(world, 1);
    expect(await sent.acked).toEqual(at(1, 1));
    expect(shown(chat)).toEqual([["seen", "acked"]]);
    expect(failed).not.toHaveBeenCalled();
  });

  it("is gone when the server does not have it, and that is no failure to report", async () => {
    const world = new World();
    const chat = await world.chat();
    const failed = vi.fn();
    const changed = vi.fn();
    chat.on("failed", failed);
    const sent = chat.send("too late");
    world.say(ENDED);
    chat.on("change", changed);
    world.refuse("send", ErrorCode.CHAT_ENDED);
    await expect(sent.acked).rejects.toMatchObject({ codeName: "CHAT_ENDED" });
    expect([shown(chat), changed.mock.calls.length]).toEqual([[], 1]);
    expect(failed).not.toHaveBeenCalled();
  });

  it("waits as well when the user has ended the chat", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("bye");
    const send = world.socket.last("send").request;
    const left = chat.leave();
    world.say({ kind: "done", request: world.socket.last("leave").request });
    await left;
    world.say({ kind: "ack", request: send, position: at(1, 1), atMs: 1 });
    expect(await sent.acked).toEqual(at(1, 1));
  });

  it("is sent again over the next link, whatever chat that is for", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("seen");
    world.say(ENDED);
    await world.reconnect({ chat: chatState({ chat: OTHER }) });
    expect(world.socket.last("hello").resume).toEqual([]);
    expect(world.socket.last("send")).toMatchObject({ chat: CHAT, clientMessageId: sent.id });
    ack(world, 1);
    expect(await sent.acked).toEqual(at(1, 1));
    await world.reconnect({ chat: chatState({ chat: OTHER }) });
    expect(world.socket.all("send")).toEqual([]);
  });

  it("is sent again when the server takes up another chat, and says that this one is gone", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("seen");
    await world.reconnect({ chat: chatState({ chat: OTHER }) });
    expect(world.socket.all("send")).toEqual([]);
    world.say({ kind: "gone", chat: CHAT });
    expect([chat.end?.reason, shown(chat)]).toEqual([null, [["seen", "pending"]]]);
    ack(world, 1);
    expect(await sent.acked).toEqual(at(1, 1));
  });

  it("is sent again when the server could not take it yet", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("seen");
    world.say(ENDED);
    world.refuse("send", ErrorCode.STORAGE_UNAVAILABLE, 1_000);
    await world.environment.advance(1_000);
    expect(world.socket.all("send").map(({ clientMessageId }) => clientMessageId)).toEqual([
      sent.id,
      sent.id,
    ]);
    ack(world, 1);
    expect(await sent.acked).toEqual(at(1, 1));
  });

  it("fails when nothing is left of the chat", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("one");
    world.say(ENDED);
    await world.reconnect();
    world.refuse("send", ErrorCode.CHAT_UNKNOWN);
    await expect(sent.acked).rejects.toMatchObject({ codeName: "CHAT_ENDED" });
    expect(shown(chat)).toEqual([]);
  });

  it("keeps its chat longer than those whose messages are settled", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("one");
    const { request } = world.socket.last("send");
    world.say(ENDED);
    for (let next = 1; next < 2 * RESUME_CHATS_MAX; next += 1) {
      const other = `${CHAT.slice(0, -2)}${next + 10}`;
      world.say({ kind: "matched", ticket: TICKET, chat: chatState({ chat: other }) });
      world.say({ ...ENDED, chat: other });
    }
    world.say({ kind: "ack", request, position: at(1, 1), atMs: 1 });
    expect(await sent.acked).toEqual(at(1, 1));
    expect(shown(chat)).toEqual([["one", "acked"]]);
  });

  it("fails when there is no room for its chat any more", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("one");
    world.say(ENDED);
    for (let next = 1; next <= RESUME_CHATS_MAX; next += 1) {
      const other = `${CHAT.slice(0, -2)}${next + 10}`;
      world.say({ kind: "matched", ticket: TICKET, chat: chatState({ chat: other }) });
      world.connection.chat?.send("one").acked.catch(() => undefined);
      world.say({ ...ENDED, chat: other });
    }
    await settle();
    await expect(sent.acked).rejects.toMatchObject({ codeName: "CHAT_ENDED" });
    expect(shown(chat)).toEqual([]);
  });
});

describe("a message that was not sent before the end of its chat", () => {
  it("fails at once, without a word to the server", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = Array.from({ length: UNACKED_SENDS_MAX + 1 }, (_, index) => chat.send(`${index}`));
    expect(world.socket.all("send")).toHaveLength(UNACKED_SENDS_MAX);
    world.say(ENDED);
    await expect(sent.at(-1)?.acked).rejects.toMatchObject({ codeName: "CHAT_ENDED" });
    expect(chat.messages).toHaveLength(UNACKED_SENDS_MAX);
    ack(world, UNACKED_SENDS_MAX);
    expect(world.socket.all("send")).toHaveLength(UNACKED_SENDS_MAX);
  });

  it("fails when it was written while there was no link", async () => {
    const world = new World();
    const chat = await world.chat();
    world.socket.lose();
    const sent = chat.send("one");
    await world.environment.advance(1_000);
    await world.greet({}, { kind: "gone", chat: CHAT });
    await expect(sent.acked).rejects.toMatchObject({ codeName: "CHAT_ENDED" });
    world.say(message(at(1, 1), "one"));
    expect(world.socket.all("send")).toEqual([]);
  });
});
