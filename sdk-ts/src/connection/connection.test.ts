import { describe, expect, it, vi } from "vitest";
import type { Chat } from "../chat/chat.js";
import { ConnectionClosedError, RequestError } from "../error.js";
import { CloseCode, ErrorCode } from "../generated/code.js";
import { settle } from "../testing/environment.js";
import { at, CHAT, chatState, message, serverBytes, TICKET, welcome } from "../testing/samples.js";
import { SilentWebTransport } from "../testing/webtransport.js";
import { World } from "../testing/world.js";

describe("a connection", () => {
  it("says Hello with a token of its own and is ready at Welcome", async () => {
    const world = new World();
    const states: string[] = [];
    const tickets = vi.fn();
    world.connection.on("state", (state) => states.push(state));
    world.connection.on("ticket", tickets);
    await world.greet();
    expect(tickets).not.toHaveBeenCalled();
    expect(world.socket.last("hello")).toMatchObject({
      connectToken: "token-1",
      versions: { min: 1, max: 1 },
      agent: expect.stringMatching(/^nowrong-sdk\/\d/),
      resume: [],
    });
    expect(states).toEqual(["ready"]);
    expect(world.connection.transport).toBe("websocket");
    expect(world.connection.stats()).toMatchObject({ transport: "websocket", links: 1 });
    expect(world.connection.serverTimeMs()).toBe(2_000_000);
  });

  it("comes back after a lost link, with a new token", async () => {
    const world = new World();
    await world.greet();
    world.socket.lose();
    expect(world.connection.state).toBe("reconnecting");
    await world.environment.advance(500);
    await world.greet();
    expect(world.connection.state).toBe("ready");
    expect(world.socket.last("hello").connectToken).toBe("token-2");
  });

  it("waits longer and longer while the server is away, but not after a wake-up", async () => {
    const world = new World();
    world.grantError = new ConnectionClosedError(null);
    await world.environment.advance(60_000);
    expect(world.grants).toBeGreaterThan(4);
    expect(world.grants).toBeLessThan(40);
    const before = world.grants;
    world.environment.wake("online");
    await settle();
    expect(world.grants).toBe(before + 1);
  });

  it("does not come back before the time that the server gives", async () => {
    const world = new World();
    await world.greet();
    world.say({ kind: "bye", code: CloseCode.OVERLOADED, retryAfterMs: 5_000, reason: "" });
    await world.environment.advance(4_999);
    expect(world.grants).toBe(1);
    await world.environment.advance(501);
    expect(world.grants).toBe(2);
  });

  it("stops for good when the code says so", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music");
    world.say({ kind: "bye", code: CloseCode.REPLACED, retryAfterMs: 0, reason: "" });
    await expect(joined).rejects.toMatchObject({ codeName: "REPLACED", isTemporary: false });
    expect(world.connection.state).toBe("closed");
    await world.environment.advance(120_000);
    expect(world.grants).toBe(1);
    expect(world.environment.timers).toBe(0);
    await expect(world.connection.join("music")).rejects.toMatchObject({ codeName: "REPLACED" });
  });

  it("stops when the account is refused", async () => {
    const world = new World();
    const failures = vi.fn();
    world.connection.on("failure", failures);
    world.grantError = new RequestError({ code: ErrorCode.REFRESH_REFUSED });
    await settle();
    expect(world.connection.state).toBe("closed");
    expect(world.connection.error).toMatchObject({ codeName: "REFRESH_REFUSED" });
    expect(failures).not.toHaveBeenCalled();
  });

  it("finds a dead link within 3 s of a wake-up", async () => {
    const world = new World();
    await world.greet();
    world.environment.wake("visible");
    expect(world.socket.all("ping")).toHaveLength(1);
    await world.environment.advance(2_999);
    expect(world.connection.state).toBe("ready");
    await world.environment.advance(1);
    expect(world.connection.state).toBe("reconnecting");
  });

  it("moves when the server goes away: the new link is open before the old one is closed", async () => {
    const world = new World();
    await world.chat();
    const old = world.socket;
    const endpoint = { webtransport: "", websocket: "ws://other/v1/websocket" };
    world.say({ kind: "goAway", retryAfterMs: 700, endpoint });
    await world.environment.advance(700);
    expect(world.socket.url).toBe("ws://other/v1/websocket");
    expect(world.connection.state).toBe("ready");
    expect(old.readyState).toBe(1);
    await world.greet({ chat: chatState() });
    expect(old.last("bye").code).toBe(CloseCode.CLIENT_LEFT);
    expect(old.readyState).toBe(3);
    expect(world.connection.state).toBe("ready");
    expect(world.connection.stats().links).toBe(2);
  });

  it("is not stopped by its own second link", async () => {
    const world = new World();
    await world.greet();
    const old = world.socket;
    void world.connection.move();
    await settle();
    world.socket.open();
    await settle();
    old.say({ kind: "bye", code: CloseCode.REPLACED, retryAfterMs: 0, reason: "" });
    expect(world.connection.state).toBe("reconnecting");
    world.say(welcome());
    expect(world.connection.state).toBe("ready");
  });

  it("comes back when an attempt of its own race replaces it late, but stops for a stranger", async () => {
    const world = new World();
    world.webtransport = "https://host:4433/";
    world.environment.WebTransport = SilentWebTransport as unknown as typeof globalThis.WebTransport;
    await world.environment.advance(300);
    world.socket.open();
    await world.environment.advance(1_000);
    world.say(welcome());
    expect(world.connection.transport).toBe("websocket");
    const replaced = { kind: "bye", code: CloseCode.REPLACED, retryAfterMs: 0, reason: "" } as const;
    world.say(replaced);
    expect(world.connection.state).toBe("reconnecting");
    await world.environment.advance(1_000);
    await world.greet();
    world.say(replaced);
    expect(world.connection.state).toBe("closed");
  });

  it("stops when it is refused for another reason, though it had a rival", async () => {
    const world = new World();
    world.webtransport = "https://host:4433/";
    world.environment.WebTransport = SilentWebTransport as unknown as typeof globalThis.WebTransport;
    await world.environment.advance(300);
    world.socket.open();
    await world.environment.advance(1_000);
    world.say(welcome(), { kind: "bye", code: CloseCode.ACCOUNT_GONE, retryAfterMs: 0, reason: "" });
    expect(world.connection.state).toBe("closed");
    world.connection.close();
    expect(world.connection.error).toMatchObject({ codeName: "ACCOUNT_GONE" });
  });

  it("stops when it is replaced later than an attempt of its own race could come through", async () => {
    const world = new World();
    world.webtransport = "https://host:4433/";
    world.environment.WebTransport = SilentWebTransport as unknown as typeof globalThis.WebTransport;
    await world.environment.advance(300);
    world.socket.open();
    await world.environment.advance(1_000);
    world.say(welcome());
    for (let second = 0; second < 30; second += 1) {
      await world.environment.advance(1_000);
      world.say({ kind: "ping", nonce: second });
    }
    world.say({ kind: "bye", code: CloseCode.REPLACED, retryAfterMs: 0, reason: "" });
    expect(world.connection.state).toBe("closed");
  });

  it.each([
    [128, 0, 250],
    [255, 255, 500],
    [0, 255, 2],
    [0, 0, 0],
  ])("draws the wait from two random bytes: %d, %d", async (high, low, waitMs) => {
    const world = new World();
    await world.greet();
    world.environment.randomBytes = () => Uint8Array.of(high, low);
    world.socket.lose();
    await world.environment.advance(Math.max(0, waitMs - 1));
    expect(world.environment.sockets).toHaveLength(waitMs === 0 ? 2 : 1);
    await world.environment.advance(1);
    expect(world.environment.sockets).toHaveLength(2);
  });

  it("tells the partner on each link whether the user looks", async () => {
    const world = new World();
    await world.chat();
    world.environment.isPageVisible = false;
    await world.reconnect({ chat: chatState() });
    expect(world.socket.all("presence").map(({ state }) => state)).toEqual(["away"]);
  });

  it("moves once when it is asked to before the time of a GoAway", async () => {
    const world = new World();
    await world.greet();
    world.say({ kind: "goAway", retryAfterMs: 5_000, endpoint: null });
    void world.connection.move();
    await world.greet();
    await world.environment.advance(6_000);
    expect(world.environment.sockets).toHaveLength(2);
  });

  it("does not report a state that has not changed", async () => {
    const world = new World();
    const states: string[] = [];
    world.connection.on("state", (state) => states.push(state));
    await world.greet();
    void world.connection.move();
    await world.greet();
    expect([states, world.connection.stats().links]).toEqual([["ready"], 2]);
  });

  it("gives a move up for another one", async () => {
    const world = new World();
    await world.greet();
    void world.connection.move();
    await settle();
    void world.connection.move();
    await settle();
    expect(world.environment.sockets.map(({ readyState }) => readyState)).toEqual([1, 3, 0]);
    await world.greet();
    expect(world.connection.stats().links).toBe(2);
  });

  it("tells no failure of an attempt that it gives up for another one", async () => {
    const world = new World();
    const failures = vi.fn();
    world.connection.on("failure", failures);
    await settle();
    void world.connection.move();
    await settle();
    expect(world.environment.sockets.map(({ readyState }) => readyState)).toEqual([3, 0]);
    expect(failures).not.toHaveBeenCalled();
    expect(world.connection.failure).toBeNull();
  });

  it("does not move any more once it is closed", async () => {
    const world = new World();
    await world.greet();
    world.connection.close();
    void world.connection.move();
    await world.environment.advance(1_000);
    expect([world.connection.state, world.grants]).toEqual(["closed", 1]);
  });

  it("does not connect a second time for a hole while it moves", async () => {
    const world = new World();
    await world.chat();
    void world.connection.move();
    await settle();
    world.environment.sockets[0]?.say(message(at(1, 3), "three"));
    await settle();
    expect(world.connection.state).toBe("ready");
    expect(world.environment.sockets).toHaveLength(2);
  });

  it("has no timer left for a move when it is closed, or connects again", async () => {
    const closed = new World();
    await closed.greet();
    closed.say({ kind: "goAway", retryAfterMs: 60_000, endpoint: null });
    closed.connection.close();
    await settle();
    expect(closed.environment.timers).toBe(0);
    const again = new World();
    await again.chat();
    await again.environment.advance(1_000);
    const { timers } = again.environment;
    again.say({ kind: "goAway", retryAfterMs: 60_000, endpoint: null }, message(at(1, 3), "three"));
    await settle();
    await again.greet({ chat: chatState({ head: at(1, 3) }) }, message(at(1, 3), "three"));
    await again.environment.advance(1_000);
    expect(again.environment.timers).toBe(timers);
  });

  it("does not move for a GoAway that comes behind the frame that ended its link", async () => {
    const world = new World();
    await world.chat();
    await world.environment.advance(1_000);
    const { timers } = world.environment;
    world.say(message(at(1, 3), "three"), { kind: "goAway", retryAfterMs: 5_000, endpoint: null });
    await settle();
    await world.greet({ chat: chatState({ head: at(1, 3) }) }, message(at(1, 3), "three"));
    await world.environment.advance(1_000);
    expect(world.environment.timers).toBe(timers);
  });

  it("closes the old link of a hole, and resumes at once", async () => {
    const world = new World();
    await world.chat();
    const old = world.socket;
    world.say(message(at(1, 3), "three"));
    expect(old.last("bye").code).toBe(CloseCode.CLIENT_LEFT);
    await settle();
    expect(world.environment.sockets).toHaveLength(2);
    expect(world.connection.transport).toBeNull();
  });

  it("reports a chat that was open before, and a frame about an unknown chat does nothing", async () => {
    const world = new World();
    const heard: string[] = [];
    world.connection.on("chat", ({ id }) => heard.push(id));
    await world.greet({ chat: chatState() });
    world.say({ kind: "gone", chat: "019aabcd-ef01-7234-9567-89abcdef0109" }, { kind: "done", request: 77 });
    await world.reconnect({ chat: chatState() });
    expect(heard).toEqual([CHAT]);
    expect(world.connection.chat?.end).toBeNull();
  });

  it("waits longer and longer for a server that accepts and drops", async () => {
    const world = new World();
    const waits: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      await world.greet();
      const lostAt = world.environment.now();
      const { length } = world.environment.sockets;
      world.socket.lose();
      while (world.environment.sockets.length === length) {
        await world.environment.advance(50);
      }
      waits.push(world.environment.now() - lostAt);
    }
    // Each wait is drawn from a span: 30 s by now, against half a second at first.
    expect(Math.max(...waits)).toBeGreaterThan(4_000);
    expect(waits[0]).toBeLessThanOrEqual(500);
  });

  it("tries the node that a GoAway names once, and asks for another when that fails", async () => {
    const world = new World();
    await world.greet();
    const endpoint = { webtransport: "", websocket: "ws://other/v1/websocket" };
    world.say({ kind: "goAway", retryAfterMs: 0, endpoint });
    await world.environment.advance(0);
    expect(world.socket.url).toBe("ws://other/v1/websocket");
    world.socket.lose();
    await world.environment.advance(1_000);
    expect(world.socket.url).toBe("ws://host/v1/websocket");
  });

  it("does not return to the node that a GoAway named once that link is lost", async () => {
    const world = new World();
    await world.greet();
    const endpoint = { webtransport: "", websocket: "ws://other/v1/websocket" };
    world.say({ kind: "goAway", retryAfterMs: 0, endpoint });
    await world.environment.advance(0);
    await world.greet();
    await world.reconnect();
    expect(world.socket.url).toBe("ws://host/v1/websocket");
  });

  it("offers WebTransport of the node that a GoAway names with the hash that it knows", async () => {
    const world = new World();
    const certificateHash = new Uint8Array([1, 2, 3]);
    world.certificateHash = certificateHash;
    world.webtransport = "https://host:4433/";
    world.environment.offerWebTransport();
    await settle();
    world.environment.sessions[0]?.open();
    await settle();
    world.environment.sessions[0]?.live.say(welcome(), {
      kind: "goAway",
      retryAfterMs: 0,
      endpoint: { webtransport: "https://other:4433/", websocket: "" },
    });
    await world.environment.advance(0);
    const [, second] = world.environment.sessions;
    expect(second?.url).toBe("https://other:4433/");
    expect(second?.options.serverCertificateHashes).toEqual([
      { algorithm: "sha-256", value: certificateHash },
    ]);
    await world.environment.advance(1_000);
    expect(world.environment.sockets).toHaveLength(0);
  });

  it("forgets a GoAway when the link is lost before its time", async () => {
    const world = new World();
    await world.greet();
    world.say({ kind: "goAway", retryAfterMs: 5_000, endpoint: null });
    world.socket.lose();
    await world.environment.advance(1_000);
    await world.greet();
    await world.environment.advance(10_000);
    expect(world.environment.sockets).toHaveLength(2);
  });

  it("does not move twice: a GoAway that is due during a move changes nothing", async () => {
    const world = new World();
    await world.greet();
    world.say({ kind: "goAway", retryAfterMs: 100, endpoint: null });
    world.say({ kind: "goAway", retryAfterMs: 200, endpoint: null });
    await world.environment.advance(150);
    expect(world.environment.sockets).toHaveLength(1);
    await world.environment.advance(50);
    expect(world.environment.sockets).toHaveLength(2);
    world.environment.sockets[0]?.say({ kind: "goAway", retryAfterMs: 0, endpoint: null });
    await world.environment.advance(100);
    expect(world.environment.sockets).toHaveLength(2);
  });

  it("moves by another transport when asked to, and keeps to it", async () => {
    const world = new World();
    world.webtransport = "https://host:4433/";
    world.environment.offerWebTransport();
    await settle();
    world.environment.sessions[0]?.open();
    await settle();
    world.environment.sessions[0]?.live.say(welcome());
    await settle();
    expect(world.connection.transport).toBe("webtransport");
    const moved = world.connection.move(["websocket"]);
    await world.greet();
    await moved;
    expect(world.connection.transport).toBe("websocket");
    expect(world.environment.sessions[0]?.live.sent.at(-1)).toMatchObject({ kind: "bye" });
    await world.reconnect();
    expect(world.connection.transport).toBe("websocket");
    expect(world.environment.sessions).toHaveLength(1);
  });

  it("keeps the handles of ended chats while a Hello has room for them, the newest of them", async () => {
    const world = new World();
    await world.greet();
    const ids = [1, 2, 3, 4, 5].map((last) => `019aabcd-ef01-7234-9567-89abcdef010${last}`);
    const chats: Chat[] = [];
    world.connection.on("chat", (chat) => chats.push(chat));
    for (const chat of ids) {
      world.say({ kind: "matched", ticket: TICKET, chat: chatState({ chat }) });
      world.say({ kind: "ended", chat, reason: "left", member: 1, expiresAtMs: 1 });
    }
    // The end is sent again with another time: only chats that are still known take it.
    for (const chat of ids) {
      world.say({ kind: "ended", chat, reason: "left", member: 1, expiresAtMs: 2 });
    }
    expect(chats.map((chat) => chat.expiresAtMs)).toEqual([1, 2, 2, 2, 2]);
  });

  it("keeps every open chat, and resumes the newest", async () => {
    const world = new World();
    await world.greet();
    const ids = [1, 2, 3, 4, 5].map((last) => `019aabcd-ef01-7234-9567-89abcdef010${last}`);
    const chats: Chat[] = [];
    world.connection.on("chat", (chat) => chats.push(chat));
    for (const chat of ids) {
      world.say({ kind: "matched", ticket: TICKET, chat: chatState({ chat }) });
    }
    await world.reconnect();
    expect(world.socket.last("hello").resume.map(({ chat }) => chat)).toEqual(ids.slice(1));
    for (const chat of ids) {
      world.say({ kind: "ended", chat, reason: "left", member: 1, expiresAtMs: 1 });
    }
    expect(chats.map(({ end }) => end?.reason)).toEqual(ids.map(() => "left"));
  });

  it("closes the chats that it holds when it is closed, and forgets a chat whose handle is closed", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.close();
    await world.reconnect();
    expect(world.socket.last("hello").resume).toEqual([]);
    const other = `019aabcd-ef01-7234-9567-89abcdef0102`;
    world.say({ kind: "matched", ticket: TICKET, chat: chatState({ chat: other }) });
    const { chat: second } = world.connection;
    world.connection.close();
    expect(() => second?.send("x")).toThrow(expect.objectContaining({ codeName: "CLOSED" }));
  });

  it("keeps the new handle of a chat when the old one is closed once more", async () => {
    const world = new World();
    const old = await world.chat();
    old.close();
    await world.reconnect({ chat: chatState() });
    const { chat } = world.connection;
    old.close();
    world.say(message(at(1, 1), "one"));
    expect(chat).not.toBe(old);
    expect(chat?.messages).toMatchObject([{ body: { text: "one" } }]);
  });

  it("has no transport, limits or id before Welcome, and the server's after it", async () => {
    const world = new World();
    const { connection } = world;
    expect([connection.transport, connection.limits, connection.id, connection.error]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(connection.state).toBe("connecting");
    expect(connection.stats()).toEqual({
      sentBytes: 0,
      receivedBytes: 0,
      droppedSignals: 0,
      roundTripMs: null,
      unknownFrames: 0,
      droppedDatagrams: 0,
      transport: null,
      links: 0,
    });
    await world.greet();
    expect(connection.limits).toEqual(welcome().limits);
    expect(connection.id).toBe(welcome().connection);
    expect(connection.stats().receivedBytes).toBe(serverBytes(welcome()).length);
    world.socket.lose();
    expect(connection.transport).toBeNull();
  });

  it("closes by `await using`, and says which state it is in once", async () => {
    const world = new World();
    const states: string[] = [];
    world.connection.on("state", (state) => states.push(state));
    await world.greet();
    await world.connection[Symbol.asyncDispose]();
    expect(world.connection.state).toBe("closed");
    world.connection.close();
    expect(states).toEqual(["ready", "closed"]);
    expect(world.connection.error).toMatchObject({ codeName: "CLIENT_LEFT" });
    world.environment.wake("online");
    await world.environment.advance(60_000);
    expect(world.environment.sockets).toHaveLength(1);
  });

  it("does not check or connect when the page is hidden", async () => {
    const world = new World();
    await world.greet();
    world.environment.wake("hidden");
    expect(world.socket.all("ping")).toHaveLength(0);
    world.socket.lose();
    world.environment.wake("hidden");
    await settle();
    expect(world.grants).toBe(1);
    world.environment.wake("visible");
    await settle();
    expect(world.grants).toBe(2);
  });

  it("gives a wait up when it is closed in it", async () => {
    const world = new World();
    await world.greet();
    world.say({ kind: "bye", code: CloseCode.OVERLOADED, retryAfterMs: 60_000, reason: "" });
    world.connection.close();
    await settle();
    expect(world.environment.timers).toBe(0);
    expect(world.grants).toBe(1);
  });

  it("gives an attempt up when it is closed in it", async () => {
    const world = new World();
    await settle();
    world.connection.close();
    await settle();
    expect(world.socket.readyState).toBe(3);
    expect(world.environment.timers).toBe(0);
    expect(world.connection.error).toMatchObject({ codeName: "CLIENT_LEFT" });
  });

  it("carries requests that wait over one link after the other, and refuses too many", async () => {
    const world = new World();
    const chat = await world.chat();
    world.socket.lose();
    const waiting = Array.from({ length: 64 }, () => chat.delete(at(1, 1)));
    const full = { codeName: "QUEUE_FULL", message: "Too many requests wait for a connection." };
    await expect(chat.delete(at(1, 1))).rejects.toMatchObject(full);
    await world.environment.advance(1_000);
    await world.greet({ chat: chatState() });
    expect(world.socket.all("delete")).toHaveLength(64);
    for (const { request } of world.socket.all("delete")) {
      world.say({ kind: "done", request });
    }
    await Promise.all(waiting);
    const failing = chat.delete(at(1, 1));
    world.connection.close();
    await expect(failing).rejects.toMatchObject({ codeName: "CLIENT_LEFT" });
    await expect(chat.delete(at(1, 1))).rejects.toMatchObject({ codeName: "CLIENT_LEFT" });
  });

  it("forgets where WebTransport failed when the network is another one", async () => {
    const world = new World();
    world.failures.failed("https://host:4433/", world.environment.now());
    await world.greet();
    world.environment.wake("visible");
    expect(world.failures.isFresh("https://host:4433/", world.environment.now())).toBe(true);
    world.environment.wake("online");
    expect(world.failures.isFresh("https://host:4433/", world.environment.now())).toBe(false);
  });

  it("carries out a request over as many links as it takes", async () => {
    const world = new World();
    const chat = await world.chat();
    const left = chat.leave();
    await world.reconnect({ chat: chatState() });
    const { request } = world.socket.last("leave");
    world.say({ kind: "done", request });
    await left;
    expect(chat.end).toMatchObject({ reason: "left", member: 0 });
  });

  it("gives a request up that has no reply", async () => {
    const world = new World();
    world.environment.isPageVisible = false; // No quick pings.
    const chat = await world.chat();
    const deleted = chat.delete(at(1, 1));
    const late = { codeName: "TIMEOUT", message: "No reply came in time." };
    const failed = expect(deleted).rejects.toMatchObject(late);
    await world.environment.advance(4_000);
    world.say({ kind: "pong", nonce: world.socket.last("ping").nonce });
    await world.environment.advance(11_000);
    await failed;
    expect(world.connection.state).toBe("ready");
  });

  it("asks whether the server is there when a reply is late", async () => {
    const world = new World();
    world.environment.isPageVisible = false; // No quick pings.
    const chat = await world.chat();
    chat.send("anybody?");
    await world.environment.advance(6_999);
    expect(world.socket.all("ping")).toHaveLength(1);
    expect(world.connection.state).toBe("ready");
    await world.environment.advance(1);
    expect(world.connection.state).toBe("reconnecting");
  });

  it("sends Bye and leaves nothing behind", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("never acked");
    world.connection.close();
    expect(world.socket.last("bye").code).toBe(CloseCode.CLIENT_LEFT);
    await expect(sent.acked).rejects.toMatchObject({ codeName: "CLOSED" });
    await world.environment.advance(10_000);
    expect(world.environment.timers).toBe(0);
  });

  it("ends on bytes that are not a frame", async () => {
    const world = new World();
    await world.greet();
    world.socket.hear(new Uint8Array([5, 1]).buffer);
    expect(world.socket.last("bye").code).toBe(CloseCode.BAD_FRAME);
    await settle();
    expect(world.connection.state).toBe("closed");
  });
});
