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

  it("orders by position, also when an ack comes late", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("mine");
    world.say(message(at(1, 2), "theirs"));
    expect(world.connection.state).toBe("ready");
    expect(texts(chat)).toEqual(["theirs", "mine (pending)"]);
    ack(world, 1);
    expect(texts(chat)).toEqual(["mine (acked)", "theirs"]);
  });

  it("sends messages without an ack again, with the same ids, in the old order", async () => {
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

  it("keeps its own messages that a restart made void, and sends them again", async () => {
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

  it("waits when the server is busy, and continues by itself", async () => {
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

  it("continues at once over a new link, whatever it was waiting for on the old one", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    world.refuse("send", ErrorCode.RATE_LIMITED, 60_000);
    await world.reconnect({ chat: chatState() });
    expect(world.socket.all("send")).toHaveLength(1);
    await world.environment.advance(100);
    expect(world.environment.timers).toBe(1); // That of the connection.
  });

  it("waits a second when the server names no time", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    world.refuse("send", ErrorCode.INTERNAL);
    await world.environment.advance(999);
    expect(world.socket.all("send")).toHaveLength(1);
    await world.environment.advance(1);
    expect(world.socket.all("send")).toHaveLength(2);
  });

  it("sends nothing over a new link before the server has taken the chat up on it", async () => {
    const world = new World();
    const chat = await world.chat();
    world.socket.lose();
    await world.environment.advance(1_000);
    chat.send("two");
    await world.greet();
    expect(world.socket.all("send")).toHaveLength(0);
    world.say({ kind: "gone", chat: CHAT });
    expect(chat.end).toMatchObject({ reason: null });
    expect(world.socket.all("send")).toHaveLength(0);
  });

  it("keeps messages that are written while there is no link", async () => {
    const world = new World();
    const chat = await world.chat();
    world.socket.lose();
    chat.typing();
    const sent = chat.send("one");
    expect([texts(chat), sent.status]).toEqual([["one (pending)"], "pending"]);
    await world.environment.advance(1_000);
    await world.greet({ chat: chatState() });
    expect(world.socket.last("send")).toMatchObject({ clientMessageId: sent.id, replyTo: null });
  });

  it("sends messages without an ack again over the link that it moves to, which stays", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("one");
    void world.connection.move();
    await world.greet({ chat: chatState() });
    expect([world.connection.state, world.connection.stats().links]).toEqual(["ready", 2]);
    expect(world.socket.last("send").clientMessageId).toBe(sent.id);
  });

  it("gives every message an id of its own, which sorts by time", async () => {
    const world = new World();
    const chat = await world.chat();
    const first = chat.send("one");
    await world.environment.advance(5);
    const second = chat.send("two");
    expect(first.id < second.id).toBe(true);
    expect(chat.messages.map(({ atMs }) => atMs)).toEqual([1_000_000, 1_000_005]);
  });

  it("ends the typing of the user", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.typing();
    chat.send("one");
    chat.typing(false);
    chat.typing();
    expect(world.socket.all("typing").map(({ isTyping }) => isTyping)).toEqual([true, true]);
  });

  it("is acked once, by the first ack", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("one");
    const changes = vi.fn();
    ack(world, 1);
    chat.on("change", changes);
    ack(world, 1);
    expect(await sent.acked).toEqual(at(1, 1));
    expect(changes).not.toHaveBeenCalled();
  });

  it("returns a message that is refused for good", async () => {
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
    world.environment.isPageVisible = false; // No quick pings.
    const chat = await world.chat();
    chat.send("one");
    await world.environment.advance(4_000);
    world.say({ kind: "pong", nonce: world.socket.last("ping").nonce });
    await world.environment.advance(10_999);
    expect(world.connection.state).toBe("ready");
    await world.environment.advance(1);
    expect(world.connection.state).toBe("reconnecting");
  });

  it("refuses texts that the server must refuse", async () => {
    const world = new World();
    const chat = await world.chat();
    expect(() => chat.send(" \n")).toThrow(expect.objectContaining({ codeName: "TEXT_EMPTY" }));
    expect(() => chat.send("ö".repeat(4_001))).toThrow(
      expect.objectContaining({ codeName: "TEXT_TOO_LONG", detail: "at most 8000 bytes" }),
    );
    expect(world.socket.all("send")).toHaveLength(0);
    chat.send("ö".repeat(4_000));
    expect(world.socket.all("send")).toHaveLength(1);
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

  it("never counts messages of the user as unread", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 1), "from my other tab", { member: 0 }), message(at(1, 2), "theirs"));
    expect(chat.unread).toBe(1);
    await world.reconnect({ chat: chatState({ unread: 5, resumed: at(1, 2), head: at(1, 2) }) });
    expect(chat.unread).toBe(5);
  });

  it("tells a message as it is shown", async () => {
    const world = new World();
    const chat = await world.chat();
    const heard: unknown[] = [];
    chat.on("change", (messages) => heard.push(["change", messages]));
    chat.on("message", (one) => heard.push(["message", one]));
    world.say(message(at(1, 1), "one", { replyTo: at(1, 0) }));
    expect(chat.messages[0]).toEqual({
      id: message(at(1, 1), "").clientMessageId,
      position: at(1, 1),
      member: 1,
      isMine: false,
      body: { kind: "text", text: "one" },
      atMs: 2_000_001,
      replyTo: at(1, 0),
      status: "acked",
    });
    expect(heard).toEqual([
      ["change", chat.messages],
      ["message", chat.messages[0]],
    ]);
  });

  it("tolerates a hole while unacked messages of the user may fill it", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    chat.send("two");
    world.say(message(at(1, 3), "three"));
    expect(world.connection.state).toBe("ready");
    world.say(message(at(1, 5), "five"));
    expect(world.connection.state).toBe("reconnecting");
  });

  it("looks for a hole after an ack, too", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    world.say(message(at(1, 2), "two"));
    ack(world, 3);
    expect(world.connection.state).toBe("reconnecting");
  });

  it("connects again over a second hole at another place", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 2), "two"));
    await settle();
    await world.greet({ chat: chatState({ head: at(1, 2) }) }, message(at(1, 2), "two"));
    expect([world.connection.state, chat.position]).toEqual(["ready", at(1, 2)]);
    world.say(message(at(1, 4), "four"));
    expect(world.connection.state).toBe("reconnecting");
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

  it("reports how far it has received and read, once for a burst", async () => {
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

  it("marks as read only the messages that were there when the user read", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 1), "one"));
    chat.read();
    await world.environment.advance(100);
    world.say(message(at(1, 2), "two"));
    await world.environment.advance(100);
    expect(world.socket.all("read").map(({ position }) => position)).toEqual([at(1, 1)]);
    expect(world.socket.all("delivered").map(({ position }) => position)).toEqual([at(1, 2)]);
  });

  it("does not report messages of the user, nor those above a hole", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("mine");
    ack(world, 1);
    chat.send("on its way");
    world.say(message(at(1, 3), "theirs"));
    chat.read();
    await world.environment.advance(100);
    expect([world.socket.all("read"), world.socket.all("delivered")]).toEqual([[], []]);
    ack(world, 2);
    world.say(message(at(1, 4), "theirs"));
    await world.environment.advance(100);
    expect(world.socket.all("delivered").map(({ position }) => position)).toEqual([at(1, 4)]);
  });

  it("reports cursors over a new link only if the server does not know them", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 1), "one"));
    world.socket.lose();
    await world.environment.advance(1_000);
    const [me, partner] = chatState().members;
    const known = (seq: number) => [{ ...me, delivered: at(1, seq) }, partner] as typeof chat.members;
    const state = { head: at(1, 1), resumed: at(1, 1) };
    await world.greet({ chat: chatState({ ...state, members: known(0) }) });
    await world.environment.advance(100);
    expect(world.socket.all("delivered").map(({ position }) => position)).toEqual([at(1, 1)]);
    await world.reconnect({ chat: chatState({ ...state, members: known(1) }) });
    await world.environment.advance(100);
    expect(world.socket.all("delivered")).toEqual([]);
  });

  it("reports what was read without a link over the next one", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 1), "one"));
    await world.environment.advance(100);
    world.socket.lose();
    chat.read();
    await world.environment.advance(100);
    await world.environment.advance(1_000);
    await world.greet({ chat: chatState({ head: at(1, 1), resumed: at(1, 1) }) });
    await world.environment.advance(100);
    expect(world.socket.all("read").map(({ position }) => position)).toEqual([at(1, 1)]);
  });

  it("sets one timer for the report of a burst", async () => {
    const world = new World();
    const chat = await world.chat();
    const { timers } = world.environment;
    world.say(message(at(1, 1), "one"), message(at(1, 2), "two"), message(at(1, 3), "three"));
    expect(world.environment.timers).toBe(timers + 1);
    chat.close();
    expect(world.environment.timers).toBe(timers);
  });

  it("does not report a position of an earlier epoch than the server knows", async () => {
    const world = new World();
    const [me, partner] = chatState().members;
    const members = [{ ...me, delivered: at(2, 1), read: at(2, 1) }, partner] as Chat["members"];
    await world.greet({ chat: chatState({ members, head: at(2, 1), resumed: at(0, 0) }) });
    world.say(message(at(1, 1), "one"), message(at(1, 2), "two"));
    await world.environment.advance(100);
    expect(world.socket.all("delivered")).toEqual([]);
  });

  it("begins with the cursors that the server knows", async () => {
    const world = new World();
    const [me, partner] = chatState().members;
    const members = [{ ...me, delivered: at(1, 2), read: at(1, 1) }, partner] as Chat["members"];
    await world.greet({ chat: chatState({ members, head: at(1, 1), resumed: at(0, 0) }) });
    world.say(message(at(1, 1), "one"));
    world.connection.chat?.read();
    await world.environment.advance(100);
    expect([world.socket.all("read"), world.socket.all("delivered")]).toEqual([[], []]);
    world.say(message(at(1, 2), "two"));
    world.connection.chat?.read();
    await world.environment.advance(100);
    expect(world.socket.all("read").map(({ position }) => position)).toEqual([at(1, 2)]);
  });

  it("reports nothing once the chat has ended", async () => {
    const world = new World();
    const chat = await world.chat();
    world.say(message(at(1, 1), "one"));
    world.say({ kind: "ended", chat: CHAT, reason: "left", member: 1, expiresAtMs: 5 });
    chat.read();
    chat.typing();
    chat.presence("away");
    await world.environment.advance(1_000);
    expect(world.socket.sent.map(({ kind }) => kind)).toEqual(["hello", "join"]);
  });

  it("shows how far the partner is", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    ack(world, 1);
    chat.send("two");
    ack(world, 2);
    const heard = vi.fn();
    chat.on("read", heard);
    world.say({ kind: "readCursor", chat: CHAT, member: 1, delivered: at(1, 2), read: at(1, 1) });
    expect(heard).toHaveBeenCalledExactlyOnceWith({ member: 1, delivered: at(1, 2), read: at(1, 1) });
    expect(chat.partner).toMatchObject({ delivered: at(1, 2), read: at(1, 1) });
    expect(texts(chat)).toEqual(["one (read)", "two (delivered)"]);
    world.say({ kind: "readCursor", chat: CHAT, member: 1, delivered: at(1, 1), read: at(1, 0) });
    expect(texts(chat)).toEqual(["one (read)", "two (delivered)"]);
  });

  it("lets typing lapse, and ends it with a message", async () => {
    const world = new World();
    world.environment.isPageVisible = false; // No quick pings.
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

  it("deletes a message of the user once the server has", async () => {
    const world = new World();
    const chat = await world.chat();
    const heard = vi.fn();
    chat.on("deleted", heard);
    chat.send("one");
    ack(world, 1);
    const deleted = chat.delete(at(1, 1));
    expect(world.socket.last("delete")).toMatchObject({ chat: CHAT, position: at(1, 1) });
    expect(texts(chat)).toEqual(["one (acked)"]);
    world.say({ kind: "done", request: world.socket.last("delete").request });
    await deleted;
    world.say({ kind: "deleted", chat: CHAT, position: at(1, 1) });
    expect(texts(chat)).toEqual(["<deleted> (acked)"]);
    expect(heard).toHaveBeenCalledExactlyOnceWith({ position: at(1, 1) });
  });

  it("asks for no history when there is none", async () => {
    const world = new World();
    const chat = await world.chat();
    expect(chat.hasOlder).toBe(false);
    expect(await chat.history()).toBe(false);
    expect(world.socket.all("history")).toHaveLength(0);
  });

  it("asks for no more history at a time than the server gives, and says whether there is more", async () => {
    const world = new World();
    await world.greet({ chat: chatState({ head: at(1, 500), resumed: at(1, 500) }) });
    const { chat } = world.connection;
    const more = chat?.history(1_000);
    const { request, limit } = world.socket.last("history");
    expect(limit).toBe(100);
    const messages = [message(at(1, 499), "one"), message(at(1, 500), "two")];
    const changed = vi.fn();
    chat?.on("change", changed);
    world.say({ kind: "page", request, messages, hasMore: true });
    expect(await more).toBe(true);
    expect(changed).toHaveBeenCalledOnce();
    void chat?.history(7);
    expect(world.socket.last("history")).toMatchObject({ limit: 7, before: at(1, 499) });
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
    world.say({ kind: "ended", chat: CHAT, reason: "left", member: 1, expiresAtMs: 5 });
    expect(ended).toHaveBeenCalledExactlyOnceWith({ reason: "left", member: 1, expiresAtMs: 5 });
    expect(() => chat.send("more")).toThrow(expect.objectContaining({ codeName: "CHAT_ENDED" }));
  });

  it("sets the time of the erasure, which may be reported again", async () => {
    const world = new World();
    const chat = await world.chat();
    expect(chat.expiresAtMs).toBe(88_400_000);
    const ended = vi.fn();
    chat.on("ended", ended);
    world.say({ kind: "ended", chat: CHAT, reason: "left", member: 1, expiresAtMs: 5 });
    world.say({ kind: "ended", chat: CHAT, reason: "left", member: 1, expiresAtMs: 6 });
    expect(chat.expiresAtMs).toBe(6);
    world.say({ kind: "gone", chat: CHAT });
    expect(chat.end).toEqual({ reason: "left", member: 1, expiresAtMs: 6 });
    expect(ended).toHaveBeenCalledOnce();
  });

  it.each(["leave", "block"] as const)("comes by `%s`, once the server has confirmed it", async (kind) => {
    const world = new World();
    const chat = await world.chat();
    const done = chat[kind]();
    expect(chat.end).toBeNull();
    world.say({ kind: "done", request: world.socket.last(kind).request });
    await done;
    expect(chat.end).toEqual({ reason: "left", member: 0, expiresAtMs: 88_400_000 });
  });

  it("comes by `leave` when the chat was over already, and not when the server refuses", async () => {
    const world = new World();
    const chat = await world.chat();
    const refused = chat.leave();
    world.refuse("leave", ErrorCode.RATE_LIMITED);
    await expect(refused).rejects.toMatchObject({ codeName: "RATE_LIMITED" });
    expect(chat.end).toBeNull();
    const left = chat.leave();
    world.refuse("leave", ErrorCode.CHAT_ENDED);
    await left;
    expect(chat.end).toMatchObject({ reason: "left" });
  });

  it("of the handle is not the end of the chat, but nothing is reported or sent any more", async () => {
    const world = new World();
    const chat = await world.chat();
    const heard = vi.fn();
    chat.on("change", heard);
    chat.on("typing", heard);
    world.say({ kind: "memberTyping", chat: CHAT, member: 1, isTyping: true });
    heard.mockClear();
    const sent = chat.send("one");
    await chat[Symbol.asyncDispose]();
    const closed = { codeName: "CLOSED", message: "The chat's handle was closed." };
    await expect(sent.acked).rejects.toMatchObject(closed);
    heard.mockClear();
    world.say(message(at(1, 1), "theirs"));
    expect(heard).not.toHaveBeenCalled();
    expect(chat.end).toBeNull();
    expect(() => chat.send("more")).toThrow(expect.objectContaining(closed));
    chat.close();
    await world.environment.advance(1_000);
    expect(world.socket.all("delivered")).toEqual([]);
    expect(world.socket.all("leave")).toEqual([]);
  });

  it("ends the typing of the partner, as does a lost link", async () => {
    for (const end of ["link", "chat"]) {
      const world = new World();
      const chat = await world.chat();
      world.say({ kind: "memberTyping", chat: CHAT, member: 1, isTyping: true });
      expect(chat.isPartnerTyping).toBe(true);
      if (end === "link") {
        world.socket.lose();
      } else {
        world.say({ kind: "ended", chat: CHAT, reason: "left", member: 1, expiresAtMs: 5 });
      }
      expect(chat.isPartnerTyping).toBe(false);
    }
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
    expect(chat.partner).toMatchObject({ seat: "held", heldUntilMs: 9 });
    expect(chat.me).toMatchObject({ name: "Ada", seat: "taken", heldUntilMs: 0 });
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

describe("the members", () => {
  it("are the user and the partner, in either order", async () => {
    const world = new World();
    await world.greet({ chat: chatState({ you: 1 }) });
    const { chat } = world.connection;
    expect([chat?.me.name, chat?.partner.name]).toEqual(["Bob", "Ada"]);
    expect(chat?.members).toEqual(chatState().members);
    world.say({ kind: "memberTyping", chat: CHAT, member: 0, isTyping: true });
    expect(chat?.isPartnerTyping).toBe(true);
    expect(chat).toMatchObject({ category: "music", you: 1, startedAtMs: 2_000_000 });
  });

  it("that the server did not list are nobody", async () => {
    const world = new World();
    await world.greet({ chat: chatState({ members: [] }) });
    const { chat } = world.connection;
    expect(chat?.partner).toEqual({
      name: "",
      language: "",
      seat: "free",
      heldUntilMs: 0,
      delivered: at(0, 0),
      read: at(0, 0),
    });
    const heard = vi.fn();
    chat?.on("read", heard);
    world.say({ kind: "readCursor", chat: CHAT, member: 1, delivered: at(1, 1), read: at(1, 1) });
    expect(heard).not.toHaveBeenCalled();
  });

  it("are as the server says on each new link", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("one");
    ack(world, 1);
    const [me, partner] = chatState().members;
    const members = [me, { ...partner, read: at(1, 1), delivered: at(1, 1) }] as Chat["members"];
    const state = { members, head: at(1, 1), resumed: at(1, 1), expiresAtMs: 7 };
    const changed = vi.fn();
    chat.on("change", changed);
    await world.reconnect({ chat: chatState(state) });
    expect(texts(chat)).toEqual(["one (read)"]);
    expect(chat.expiresAtMs).toBe(7);
    expect(changed).toHaveBeenCalled();
  });
});
