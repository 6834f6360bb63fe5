import { afterEach, describe, expect, it, vi } from "vitest";
import { ConnectionClosedError, RequestError } from "../error.js";
import { CloseCode, ErrorCode } from "../generated/code.js";
import { settle } from "../testing/environment.js";
import { at, CHAT, chatState, TICKET, ticketState, welcome } from "../testing/samples.js";
import { SilentWebTransport } from "../testing/webtransport.js";
import { World } from "../testing/world.js";

describe("a connection", () => {
  it("says Hello with a token of its own and is ready at Welcome", async () => {
    const world = new World();
    const states: string[] = [];
    world.connection.on("state", (state) => states.push(state));
    await world.greet();
    expect(world.socket.last("hello")).toMatchObject({
      connectToken: "token-1",
      versions: { min: 1, max: 1 },
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
    world.grantError = new RequestError({ code: ErrorCode.REFRESH_REFUSED });
    await settle();
    expect(world.connection.state).toBe("closed");
    expect(world.connection.error).toMatchObject({ codeName: "REFRESH_REFUSED" });
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
    const chat = await world.chat();
    const deleted = chat.delete(at(1, 1));
    const failed = expect(deleted).rejects.toMatchObject({ codeName: "TIMEOUT" });
    await world.environment.advance(4_000);
    world.say({ kind: "pong", nonce: world.socket.last("ping").nonce });
    await world.environment.advance(11_000);
    await failed;
    expect(world.connection.state).toBe("ready");
  });

  it("asks whether the server is there when a reply is late", async () => {
    const world = new World();
    const chat = await world.chat();
    chat.send("anybody?");
    await world.environment.advance(6_999);
    expect(world.socket.all("ping")).toHaveLength(1);
    expect(world.connection.state).toBe("ready");
    await world.environment.advance(1);
    expect(world.connection.state).toBe("reconnecting");
  });

  it("says good-bye and leaves nothing behind", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("never acked");
    world.connection.close();
    expect(world.socket.last("bye").code).toBe(CloseCode.CLIENT_LEFT);
    await expect(sent.acked).rejects.toMatchObject({ codeName: "CLOSED" });
    await world.environment.advance(10_000);
    expect(world.environment.timers).toBe(0);
  });

  it("ends on bytes that are no protocol", async () => {
    const world = new World();
    await world.greet();
    world.socket.hear(new Uint8Array([5, 1]).buffer);
    expect(world.socket.last("bye").code).toBe(CloseCode.BAD_FRAME);
    await settle();
    expect(world.connection.state).toBe("closed");
  });
});

describe("a ticket", () => {
  afterEach(() => vi.restoreAllMocks());

  it("waits, widens, and is matched", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music", { interests: ["jazz"] });
    const join = world.socket.last("join");
    expect(join).toMatchObject({ category: "music", interests: ["jazz"] });
    world.say({ kind: "queued", request: join.request, ticket: ticketState() });
    const ticket = await joined;
    expect(ticket.status).toBe("waiting");
    world.say({ kind: "widened", ticket: TICKET, stage: "language" });
    expect(ticket.stage).toBe("language");
    world.say({ kind: "matched", ticket: TICKET, chat: chatState() });
    const chat = await ticket.matched;
    expect(chat.partner.name).toBe("Bob");
    expect(ticket.status).toBe("matched");
    expect(world.connection.ticket).toBeNull();
    expect(world.connection.chat).toBe(chat);
  });

  it("that was asked for before the connection was ready is asked for then", async () => {
    const world = new World();
    const joined = world.connection.join("music");
    await world.greet();
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: ticketState() });
    expect((await joined).id).toBe(TICKET);
  });

  it("is asked for again when the server has forgotten it", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music");
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: ticketState() });
    const ticket = await joined;
    await world.reconnect();
    const other = "019aabcd-eeff-7aaa-8bbb-ccccddddffff";
    const again = world.socket.last("join");
    world.say({ kind: "queued", request: again.request, ticket: ticketState({ ticket: other }) });
    expect(world.connection.ticket).toBe(ticket);
    expect(ticket.id).toBe(other);
    world.say({ kind: "matched", ticket: other, chat: chatState() });
    expect((await ticket.matched).id).toBe(CHAT);
  });

  it("is kept when the server has it still", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music");
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: ticketState() });
    const ticket = await joined;
    await world.reconnect({ ticket: ticketState({ stage: "anyone" }) });
    expect(world.socket.all("join")).toHaveLength(0);
    expect(ticket.stage).toBe("anyone");
  });

  it("is matched while the link was lost", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music");
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: ticketState() });
    const ticket = await joined;
    await world.reconnect({ chat: chatState() });
    expect((await ticket.matched).id).toBe(CHAT);
    expect(world.socket.all("join")).toHaveLength(0);
  });

  it("is cancelled, or matched, never both", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music");
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: ticketState() });
    const ticket = await joined;
    const cancelled = ticket.cancel();
    const { request } = world.socket.last("cancel");
    const code = ErrorCode.TICKET_UNKNOWN;
    world.say({ kind: "fail", request, code, retryAfterMs: 0, detail: "" });
    expect(await cancelled).toBe(false);
    world.say({ kind: "matched", ticket: TICKET, chat: chatState() });
    expect((await ticket.matched).id).toBe(CHAT);
  });

  it("that is cancelled rejects what waits for a match", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music");
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: ticketState() });
    const ticket = await joined;
    const cancelled = ticket.cancel();
    world.say({ kind: "done", request: world.socket.last("cancel").request });
    expect(await cancelled).toBe(true);
    await expect(ticket.matched).rejects.toMatchObject({ codeName: "CLOSED" });
    expect(ticket.status).toBe("cancelled");
  });

  it("that is cancelled while the link is lost is not asked for again", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music");
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: ticketState() });
    const ticket = await joined;
    world.socket.lose();
    void ticket.cancel();
    await world.environment.advance(1_000);
    await world.greet();
    expect(world.socket.all("join")).toHaveLength(0);
    expect(ticket.status).toBe("cancelled");
  });

  it("from before a reload comes up by itself", async () => {
    const world = new World();
    const restored = vi.fn();
    world.connection.on("ticket", restored);
    await world.greet({ ticket: ticketState() });
    expect(restored).toHaveBeenCalledOnce();
    expect(world.connection.ticket?.id).toBe(TICKET);
  });

  it("is refused with the server's reason", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("nothing");
    const { request } = world.socket.last("join");
    world.say({ kind: "fail", request, code: ErrorCode.CATEGORY_UNKNOWN, retryAfterMs: 0, detail: "" });
    await expect(joined).rejects.toMatchObject({ codeName: "CATEGORY_UNKNOWN" });
    expect(world.connection.ticket).toBeNull();
  });

  it("of `next` ends the chat", async () => {
    const world = new World();
    const chat = await world.chat();
    const queued = chat.next();
    const { request } = world.socket.last("next");
    world.say({ kind: "queued", request, ticket: ticketState() });
    const ticket = await queued;
    expect(chat.end?.reason).toBe("left");
    expect(ticket.status).toBe("waiting");
  });

  it("of `next` survives a lost link, whether it was carried out or not", async () => {
    const world = new World();
    const chat = await world.chat();
    const queued = chat.next();
    await world.reconnect({ chat: chatState() });
    const { request } = world.socket.last("next");
    world.say({ kind: "fail", request, code: ErrorCode.CHAT_ENDED, retryAfterMs: 0, detail: "" });
    const join = world.socket.last("join");
    world.say({ kind: "queued", request: join.request, ticket: ticketState() });
    expect((await queued).status).toBe("waiting");
    expect(chat.end).not.toBeNull();
  });
});
