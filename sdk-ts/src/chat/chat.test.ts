import { describe, expect, it, vi } from "vitest";
import { ErrorCode } from "../generated/code.js";
import { settle } from "../testing/environment.js";
import { at, CHAT, chatState, message } from "../testing/samples.js";
import { World } from "../testing/world.js";
import type { Chat } from "./chat.js";

function texts(chat: Chat): string[] {
  return chat.messages.map(({ body, status, isMine }) => {
    const text = body.kind === "text" ? body.text : `<${body.kind}>`;
    return isMine ? `${text} (${status})` : text;
  });
}

function ack(world: World, seq: number, epoch = 1): void {
  const { request } = world.socket.last("send");
  world.say({ kind: "ack", request, position: at(epoch, seq), atMs: 2_000_000 + seq });
}

describe("sending", () => {
  it("shows at once, and acks with the position", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("hello", { replyTo: at(1, 1) });
    expect(texts(chat)).toEqual(["hello (pending)"]);
    expect(world.socket.last("send")).toMatchObject({
      chat: CHAT,
      replyTo: at(1, 1),
      clientMessageId: sent.id,
    });
    ack(world, 1);
    expect(await sent.acked).toEqual(at(1, 1));
    expect(sent.status).toBe("acked");
    expect(texts(chat)).toEqual(["hello (acked)"]);
  });

  it("orders by position, whoever is acked late", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("mine");
    world.say(message(at(1, 2), "theirs"));
    expect(world.connection.state).toBe("ready");
    expect(texts(chat)).toEqual(["theirs", "mine (pending)"]);
    ack(world, 1);
    expect(texts(chat)).toEqual(["mine (acked)", "theirs"]);
  });

  it("sends again what has no ack, with the same ids, in the old order", async () => {
    const world = new World();
    const chat = await world.chat();
    const first = chat.send("one");
    const second = chat.send("two");
    await world.reconnect({ chat: chatState() });
    expect(world.socket.all("send").map((frame) => frame.clientMessageId)).toEqual([first.id, second.id]);
    expect(texts(chat)).toEqual(["one (pending)", "two (pending)"]);
  });

  it("shows a message once that came back before its ack", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("one");
    const own = message(at(1, 1), "one", { member: 0, clientMessageId: sent.id });
    await world.reconnect({ chat: chatState({ head: at(1, 1) }) }, own);
    expect(texts(chat)).toEqual(["one (pending)"]);
    ack(world, 1);
    expect(texts(chat)).toEqual(["one (acked)"]);
    expect(await sent.acked).toEqual(at(1, 1));
  });

  it("keeps what a restart made void, and sends it again", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 1), "durable"), message(at(1, 2), "void"));
    const sent = chat.send("mine");
    const resumed = at(1, 1);
    await world.reconnect({ chat: chatState({ head: at(2, 2), resumed }) }, message(at(2, 2), "instead"));
    expect(texts(chat)).toEqual(["durable", "instead", "mine (pending)"]);
    ack(world, 3, 2);
    expect(await sent.acked).toEqual(at(2, 3));
    expect(texts(chat)).toEqual(["durable", "instead", "mine (acked)"]);
  });

  it("waits when the server cannot, and goes on by itself", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    const { request, clientMessageId } = world.socket.last("send");
    world.say({ kind: "fail", request, code: ErrorCode.RATE_LIMITED, retryAfterMs: 3_000, detail: "" });
    chat.send("two");
    expect(world.socket.all("send")).toHaveLength(1);
    await world.environment.advance(3_000);
    expect(world.socket.all("send")).toHaveLength(3);
    expect(world.socket.all("send")[1]?.clientMessageId).toBe(clientMessageId);
  });

  it("gives a message back that is refused for good", async () => {
    const world = new World();
    const chat = await world.chat();
    const failed = vi.fn();
    chat.on("failed", failed);
    const sent = chat.send("bad");
    const { request } = world.socket.last("send");
    world.say({ kind: "fail", request, code: ErrorCode.CHAT_FULL, retryAfterMs: 0, detail: "" });
    await expect(sent.acked).rejects.toMatchObject({ codeName: "CHAT_FULL" });
    expect(texts(chat)).toEqual([]);
    expect(failed).toHaveBeenCalledWith(expect.objectContaining({ body: { kind: "text", text: "bad" } }));
  });

  it("connects again when no reply comes", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    await world.environment.advance(4_000);
    world.say({ kind: "pong", nonce: world.socket.last("ping").nonce });
    await world.environment.advance(10_999);
    expect(world.connection.state).toBe("ready");
    await world.environment.advance(1);
    expect(world.connection.state).toBe("reconnecting");
  });

  it("refuses what the server must refuse", async () => {
    const world = new World();
    const chat = await world.chat();
    expect(() => chat.send(" \n")).toThrow(expect.objectContaining({ codeName: "TEXT_EMPTY" }));
    expect(() => chat.send("ö".repeat(4_001))).toThrow(
      expect.objectContaining({ codeName: "TEXT_TOO_LONG" }),
    );
    expect(world.socket.all("send")).toHaveLength(0);
  });

  it("is bounded", async () => {
    const world = new World();
    const chat = await world.chat();
    for (let count = 0; count < 256; count += 1) {
      chat.send(`${count}`);
    }
    expect(() => chat.send("one more")).toThrow(expect.objectContaining({ codeName: "QUEUE_FULL" }));
    expect(world.socket.all("send")).toHaveLength(128);
    ack(world, 1);
    expect(world.socket.all("send")).toHaveLength(129);
  });
});

describe("receiving", () => {
  it("tells each message once", async () => {
    const world = new World();
    const chat = await world.chat();
    const heard = vi.fn();
    chat.on("message", heard);
    world.say(message(at(1, 1), "one"), message(at(1, 1), "one"), message(at(1, 2), "two"));
    expect(heard).toHaveBeenCalledTimes(2);
    expect(texts(chat)).toEqual(["one", "two"]);
    expect(chat.unread).toBe(2);
  });

  it("resumes from where it has no hole", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("mine, not acked");
    world.say(message(at(1, 2), "theirs"));
    await world.reconnect({ chat: chatState() });
    expect(world.socket.last("hello").resume).toEqual([{ chat: CHAT, position: at(0, 0) }]);
    world.say(message(at(1, 2), "theirs"));
    ack(world, 1);
    expect(texts(chat)).toEqual(["mine, not acked (acked)", "theirs"]);
  });

  it("connects again over a hole that nothing explains, and takes it as final the second time", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 1), "one"), message(at(1, 3), "three"));
    expect(world.connection.state).toBe("reconnecting");
    await settle();
    await world.greet({ chat: chatState({ head: at(1, 3), resumed: at(1, 1) }) }, message(at(1, 3), "three"));
    expect(world.socket.last("hello").resume).toEqual([{ chat: CHAT, position: at(1, 1) }]);
    expect(world.connection.state).toBe("ready");
    expect(texts(chat)).toEqual(["one", "three"]);
    expect(chat.position).toEqual(at(1, 3));
  });

  it("tells how far it has received and read, once for a burst", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 1), "one"), message(at(1, 2), "two"));
    await world.environment.advance(100);
    expect(world.socket.all("delivered").map((frame) => frame.position)).toEqual([at(1, 2)]);
    chat.read();
    chat.read();
    await world.environment.advance(100);
    expect(world.socket.all("read").map((frame) => frame.position)).toEqual([at(1, 2)]);
    expect(chat.unread).toBe(0);
    await world.environment.advance(1_000);
    expect(world.socket.all("delivered")).toHaveLength(1);
  });

  it("shows how far the partner is", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    ack(world, 1);
    chat.send("two");
    ack(world, 2);
    world.say({ kind: "readCursor", chat: CHAT, member: 1, delivered: at(1, 2), read: at(1, 1) });
    expect(texts(chat)).toEqual(["one (read)", "two (delivered)"]);
    world.say({ kind: "readCursor", chat: CHAT, member: 1, delivered: at(1, 1), read: at(1, 0) });
    expect(texts(chat)).toEqual(["one (read)", "two (delivered)"]);
  });

  it("lets typing lapse, and ends it with a message", async () => {
    const world = new World();
    const chat = await world.chat();
    const heard: boolean[] = [];
    chat.on("typing", ({ isTyping }) => heard.push(isTyping));
    const typing = { kind: "memberTyping", chat: CHAT, member: 1, isTyping: true } as const;
    world.say(typing);
    await world.environment.advance(4_000);
    world.say(typing);
    await world.environment.advance(4_999);
    expect(chat.isPartnerTyping).toBe(true);
    await world.environment.advance(1);
    world.say(typing, message(at(1, 1), "one"));
    expect(heard).toEqual([true, false, true, false]);
  });

  it("says typing at most every 2.5 s", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.typing();
    chat.typing();
    await world.environment.advance(2_500);
    chat.typing();
    chat.typing(false);
    chat.typing(false);
    expect(world.socket.all("typing").map((frame) => frame.isTyping)).toEqual([true, true, false]);
  });

  it("deletes for all, whichever comes first", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say({ kind: "deleted", chat: CHAT, position: at(1, 2) });
    world.say(message(at(1, 1), "one"), message(at(1, 2), "two"));
    world.say({ kind: "deleted", chat: CHAT, position: at(1, 1) });
    expect(texts(chat)).toEqual(["<deleted>", "<deleted>"]);
  });

  it("brings older messages", async () => {
    const world = new World();
    await world.greet({ chat: chatState({ head: at(1, 2), resumed: at(1, 2) }) });
    const { chat } = world.connection;
    if (chat === null) {
      throw new Error("no chat");
    }
    expect(chat.hasOlder).toBe(true);
    const more = chat.history();
    const { request, before } = world.socket.last("history");
    expect(before).toEqual(at(1, 3));
    const messages = [message(at(1, 1), "one"), message(at(1, 2), "two")];
    world.say({ kind: "page", request, messages, hasMore: false });
    expect(await more).toBe(false);
    expect(texts(chat)).toEqual(["one", "two"]);
  });
});

describe("the end", () => {
  it("is told with its reason, and nothing can be sent after it", async () => {
    const world = new World();
    const chat = await world.chat();
    const ended = vi.fn();
    chat.on("ended", ended);
    const sent = chat.send("too late");
    world.say({ kind: "ended", chat: CHAT, reason: "left", member: 1, expiresAtMs: 5 });
    expect(ended).toHaveBeenCalledExactlyOnceWith({ reason: "left", member: 1, expiresAtMs: 5 });
    await expect(sent.acked).rejects.toMatchObject({ codeName: "CHAT_ENDED" });
    expect(() => chat.send("more")).toThrow(expect.objectContaining({ codeName: "CHAT_ENDED" }));
  });

  it("comes when the server has nothing left of the chat", async () => {
    const world = new World();
    const chat = await world.chat();
    await world.reconnect({}, { kind: "gone", chat: CHAT });
    expect(chat.end).toMatchObject({ reason: null });
    await world.reconnect();
    expect(world.socket.last("hello").resume).toEqual([]);
  });

  it("tells seats, idleness and presence on the way", async () => {
    const world = new World();
    const chat = await world.chat();
    const heard: unknown[] = [];
    chat.on("seat", ({ state, heldUntilMs }) => heard.push([state, heldUntilMs]));
    chat.on("idle", ({ endsAtMs }) => heard.push(endsAtMs));
    chat.on("presence", ({ state }) => heard.push(state));
    world.say({ kind: "seat", chat: CHAT, member: 1, state: "held", heldUntilMs: 9 });
    world.say({ kind: "idle", chat: CHAT, endsAtMs: 8 });
    world.say({ kind: "memberPresence", chat: CHAT, member: 1, state: "away" });
    expect(heard).toEqual([["held", 9], 8, "away"]);
    expect(chat.partner.seat).toBe("held");
  });

  it("follows the page: visible is active, hidden is away", async () => {
    const world = new World();
    await world.chat();
    world.environment.isPageVisible = false;
    world.environment.wake("hidden");
    world.environment.isPageVisible = true;
    world.environment.wake("visible");
    expect(world.socket.all("presence").map((frame) => frame.state)).toEqual(["away", "active"]);
  });
});
