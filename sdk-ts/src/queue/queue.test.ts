import { describe, expect, it, vi } from "vitest";
import { ErrorCode } from "../generated/code.js";
import { CHAT, chatState, TICKET, ticketState } from "../testing/samples.js";
import { World } from "../testing/world.js";

describe("a ticket", () => {
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
    const changed = vi.fn();
    ticket.on("change", changed);
    await world.reconnect({ ticket: ticketState({ stage: "anyone" }) });
    expect(changed).toHaveBeenCalledExactlyOnceWith(ticket);
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
    const message = "The ticket was cancelled.";
    await expect(ticket.matched).rejects.toMatchObject({ codeName: "CLOSED", message });
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

  it("from before a reload is reported without asking", async () => {
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

describe("the wish for a partner", () => {
  it("is one at a time", async () => {
    const world = new World();
    await world.ticket();
    await expect(world.connection.join("films")).rejects.toMatchObject({ codeName: "ALREADY_QUEUED" });
    expect(world.socket.all("join")).toHaveLength(1);
  });

  it("is asked for without interests when none are given", async () => {
    const world = new World();
    await world.greet();
    void world.connection.join("music");
    expect(world.socket.last("join").interests).toEqual([]);
  });

  it("that the server ends is asked for again after a second, when the server names no time", async () => {
    const world = new World();
    const ticket = await world.ticket();
    world.say({ kind: "ticketEnded", ticket: TICKET, code: ErrorCode.INTERNAL });
    await world.environment.advance(999);
    expect(world.socket.all("join")).toHaveLength(1);
    await world.environment.advance(1);
    expect(world.socket.all("join")).toHaveLength(2);
    expect(ticket.status).toBe("waiting");
  });

  it("that is refused for a while is asked for again at the time that the server names", async () => {
    const world = new World();
    await world.ticket();
    world.say({ kind: "ticketEnded", ticket: TICKET, code: ErrorCode.INTERNAL });
    await world.environment.advance(1_000);
    world.refuse("join", ErrorCode.RATE_LIMITED, 5_000);
    await world.environment.advance(4_999);
    expect(world.socket.all("join")).toHaveLength(2);
    await world.environment.advance(1);
    expect(world.socket.all("join")).toHaveLength(3);
  });

  it("that the server ends for good ends with its reason", async () => {
    const world = new World();
    const ticket = await world.ticket();
    const changed = vi.fn();
    ticket.on("change", changed);
    world.say({ kind: "ticketEnded", ticket: TICKET, code: ErrorCode.CATEGORY_UNKNOWN });
    await expect(ticket.matched).rejects.toMatchObject({ codeName: "CATEGORY_UNKNOWN" });
    expect(ticket.status).toBe("ended");
    expect(changed).toHaveBeenCalledExactlyOnceWith(ticket);
    expect(world.connection.ticket).toBeNull();
    expect(await ticket.cancel()).toBe(true);
    expect(world.socket.all("cancel")).toHaveLength(0);
  });

  it("ignores the refusal of an earlier wish", async () => {
    const world = new World();
    await world.greet();
    const first = world.connection.join("music");
    const { request } = world.socket.last("join");
    world.say({ kind: "matched", ticket: TICKET, chat: chatState() });
    await first;
    const second = world.connection.join("films");
    const code = ErrorCode.CATEGORY_UNKNOWN;
    world.say({ kind: "fail", request, code, retryAfterMs: 0, detail: "" });
    const films = ticketState({ category: "films" });
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: films });
    expect((await second).status).toBe("waiting");
  });

  it("that is refused with a reason of `next` fails with it", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music");
    world.refuse("join", ErrorCode.CHAT_UNKNOWN);
    await expect(joined).rejects.toMatchObject({ codeName: "CHAT_UNKNOWN" });
  });

  it("does not exist when the server reports a ticket that it has just ended", async () => {
    const world = new World();
    await world.greet();
    world.say({ kind: "widened", ticket: TICKET, stage: "anyone" });
    world.say({ kind: "ticketEnded", ticket: TICKET, code: ErrorCode.CATEGORY_UNKNOWN });
    const joined = world.connection.join("music");
    world.say({ kind: "widened", ticket: TICKET, stage: "anyone" });
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: ticketState() });
    expect((await joined).stage).toBe("interests");
  });

  it("hears nothing of another ticket", async () => {
    const world = new World();
    const ticket = await world.ticket();
    const other = "019aabcd-eeff-7aaa-8bbb-ccccddddffff";
    world.say({ kind: "widened", ticket: other, stage: "anyone" });
    world.say({ kind: "ticketEnded", ticket: other, code: ErrorCode.CATEGORY_UNKNOWN });
    expect([ticket.stage, ticket.status]).toEqual(["interests", "waiting"]);
  });

  it("that is refused at once fails at once, though the refusal may be temporary", async () => {
    const world = new World();
    world.environment.isPageVisible = false; // No quick pings.
    await world.greet();
    const joined = world.connection.join("music");
    world.refuse("join", ErrorCode.RATE_LIMITED, 5_000);
    await expect(joined).rejects.toMatchObject({ codeName: "RATE_LIMITED" });
    await world.environment.advance(10_000);
    expect(world.socket.all("join")).toHaveLength(1);
  });

  it("fails when no reply comes in time", async () => {
    const world = new World();
    world.environment.isPageVisible = false; // No quick pings.
    await world.greet();
    const joined = world.connection.join("music");
    const failed = expect(joined).rejects.toMatchObject({ codeName: "TIMEOUT" });
    await world.environment.advance(4_000);
    world.say({ kind: "pong", nonce: world.socket.last("ping").nonce });
    await world.environment.advance(11_000);
    await failed;
    expect(world.connection.ticket).toBeNull();
  });

  it("ignores the reply to an earlier wish", async () => {
    const world = new World();
    await world.greet();
    const first = world.connection.join("music");
    const { request } = world.socket.last("join");
    world.say({ kind: "matched", ticket: TICKET, chat: chatState() });
    expect((await first).status).toBe("matched");
    const second = world.connection.join("films");
    world.say({ kind: "queued", request, ticket: ticketState() });
    expect(world.connection.ticket).toBeNull();
    const films = ticketState({ category: "films" });
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: films });
    expect((await second).category).toBe("films");
  });

  it("that is matched before its reply has the values of the wish", async () => {
    const world = new World();
    await world.greet();
    const joined = world.connection.join("music", { interests: ["jazz"] });
    world.say({ kind: "matched", ticket: TICKET, chat: chatState() });
    const ticket = await joined;
    expect([ticket.category, ticket.interests, ticket.status]).toEqual(["music", ["jazz"], "matched"]);
    expect([ticket.stage, ticket.waiting, ticket.sinceMs]).toEqual(["interests", 0, 0]);
    expect(ticket.id).toBe("00000000-0000-0000-0000-000000000000");
    expect((await ticket.matched).id).toBe(CHAT);
  });

  it("ends with the connection", async () => {
    const world = new World();
    const ticket = await world.ticket();
    world.connection.close();
    await expect(ticket.matched).rejects.toMatchObject({ codeName: "CLIENT_LEFT" });
    expect(ticket.status).toBe("ended");
  });

  it("is not asked for again when it was matched while the server could not take it", async () => {
    const world = new World();
    const ticket = await world.ticket();
    world.say({ kind: "ticketEnded", ticket: TICKET, code: ErrorCode.INTERNAL });
    world.say({ kind: "matched", ticket: TICKET, chat: chatState() });
    await ticket.matched;
    await world.environment.advance(5_000);
    expect(world.socket.all("join")).toHaveLength(1);
  });
});

describe("a ticket that is cancelled", () => {
  it("by `close` or `await using` is cancelled as by `cancel`", async () => {
    const world = new World();
    const ticket = await world.ticket();
    const closed = ticket[Symbol.asyncDispose]();
    world.say({ kind: "done", request: world.socket.last("cancel").request });
    await closed;
    expect(ticket.status).toBe("cancelled");
    expect(await ticket.cancel()).toBe(true);
    expect(world.socket.all("cancel")).toHaveLength(1);
  });

  it("after its match is matched", async () => {
    const world = new World();
    const ticket = await world.ticket();
    world.say({ kind: "matched", ticket: TICKET, chat: chatState() });
    expect(await ticket.cancel()).toBe(false);
    expect(world.socket.all("cancel")).toHaveLength(0);
  });

  it("in vain stays: the refusal is reported, and the ticket is asked for again over a new link", async () => {
    const world = new World();
    const ticket = await world.ticket();
    const cancelled = ticket.cancel();
    world.refuse("cancel", ErrorCode.RATE_LIMITED);
    await expect(cancelled).rejects.toMatchObject({ codeName: "RATE_LIMITED" });
    expect(ticket.status).toBe("waiting");
    await world.reconnect();
    expect(world.socket.all("join")).toHaveLength(1);
  });

  it("while the server has forgotten it is cancelled", async () => {
    const world = new World();
    const ticket = await world.ticket();
    const cancelled = ticket.cancel();
    await world.reconnect();
    expect(ticket.status).toBe("cancelled");
    world.refuse("cancel", ErrorCode.TICKET_UNKNOWN);
    expect(await cancelled).toBe(true);
  });

  it("does not end the wish that came after it", async () => {
    const world = new World();
    const ticket = await world.ticket();
    const cancelled = ticket.cancel();
    await world.reconnect();
    const again = world.connection.join("films");
    world.say({ kind: "done", request: world.socket.last("cancel").request });
    expect(await cancelled).toBe(true);
    const films = ticketState({ category: "films" });
    world.say({ kind: "queued", request: world.socket.last("join").request, ticket: films });
    expect((await again).status).toBe("waiting");
  });
});

describe("`next`", () => {
  it("is not matched with the chat that it leaves when that chat opens again with a new handle", async () => {
    const world = new World();
    const chat = await world.chat();
    const queued = chat.next();
    chat.close();
    await world.reconnect({ chat: chatState() });
    const again = world.connection.chat;
    expect(again).not.toBe(chat);
    expect(world.socket.last("next").chat).toBe(CHAT);
    world.say({ kind: "queued", request: world.socket.last("next").request, ticket: ticketState() });
    expect((await queued).status).toBe("waiting");
    expect(again?.end).toMatchObject({ reason: "left" });
  });

  it("ends the chat when the match comes before the reply", async () => {
    const world = new World();
    const chat = await world.chat();
    const queued = chat.next();
    const other = "019aabcd-ef01-7234-9567-89abcdef0102";
    world.say({ kind: "matched", ticket: TICKET, chat: chatState({ chat: other }) });
    expect((await (await queued).matched).id).toBe(other);
    expect(chat.end).toMatchObject({ reason: "left" });
  });

  it.each([ErrorCode.CHAT_ENDED, ErrorCode.CHAT_UNKNOWN])(
    "joins anew when the chat is over (%i)",
    async (code) => {
      const world = new World();
      const chat = await world.chat();
      void chat.next();
      world.refuse("next", code);
      expect(chat.end).toMatchObject({ reason: "left" });
      expect(world.socket.last("join")).toMatchObject({ category: "music", interests: [] });
    },
  );

  it("that is refused leaves the chat as it is", async () => {
    const world = new World();
    const chat = await world.chat();
    const queued = chat.next();
    world.refuse("next", ErrorCode.RATE_LIMITED);
    await expect(queued).rejects.toMatchObject({ codeName: "RATE_LIMITED" });
    expect(chat.end).toBeNull();
  });
});

describe("a ticket from before a reload", () => {
  it("is kept over lost links, and matched", async () => {
    const world = new World();
    await world.greet({ ticket: ticketState() });
    const { ticket } = world.connection;
    await world.reconnect();
    expect(world.socket.last("join")).toMatchObject({ category: "music", interests: ["jazz"] });
    world.say({ kind: "matched", ticket: TICKET, chat: chatState() });
    expect((await ticket?.matched)?.id).toBe(CHAT);
  });

  it("can be cancelled", async () => {
    const world = new World();
    await world.greet({ ticket: ticketState() });
    const { ticket } = world.connection;
    const cancelled = ticket?.cancel();
    world.say({ kind: "done", request: world.socket.last("cancel").request });
    expect(await cancelled).toBe(true);
  });
});

describe("a wish without a reply", () => {
  it("fails when the connection is closed", async () => {
    const world = new World();
    const chat = await world.chat();
    const queued = chat.next();
    world.connection.close();
    await expect(queued).rejects.toMatchObject({ codeName: "CLIENT_LEFT" });
  });
});
