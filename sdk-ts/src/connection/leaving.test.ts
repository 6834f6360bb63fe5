import { describe, expect, it } from "vitest";
import { CloseCode } from "../generated/code.js";
import { settle } from "../testing/environment.js";
import { chatState, welcome } from "../testing/samples.js";
import { World } from "../testing/world.js";

/** A world with an open link over WebTransport. */
async function overWebTransport(): Promise<World> {
  const world = new World();
  world.webtransport = "https://host:4433/";
  world.environment.offerWebTransport();
  await settle();
  world.environment.sessions[0]?.open();
  await settle();
  world.environment.sessions[0]?.live.say(welcome({ chat: chatState() }));
  await settle();
  return world;
}

describe("a page that is left", () => {
  it("says Bye and closes its WebSocket before the page is gone", async () => {
    const world = new World();
    await world.chat();
    world.environment.wake("leave");
    expect(world.socket.last("bye").code).toBe(CloseCode.CLIENT_LEFT);
    expect(world.socket.closeCode).toBe(1_000);
    expect(world.connection.state).toBe("reconnecting");
  });

  it("closes its WebTransport session at once: Firefox would keep it open", async () => {
    const world = await overWebTransport();
    expect(world.connection.transport).toBe("webtransport");
    const [session] = world.environment.sessions;
    world.environment.wake("leave");
    expect(session?.isClosed).toBe(true);
  });

  it("closes a session at once that the application has just begun to close", async () => {
    const world = await overWebTransport();
    const [session] = world.environment.sessions;
    world.connection.close();
    expect(session?.isClosed).toBe(false);
    world.environment.wake("leave");
    expect(session?.isClosed).toBe(true);
    await world.environment.advance(10_000);
    expect(world.environment.timers).toBe(0);
  });

  it("closes the session of an attempt that goes on only to learn whether it works", async () => {
    const world = new World();
    world.webtransport = "https://host:4433/";
    world.environment.offerWebTransport();
    await world.environment.advance(300);
    await world.greet();
    const [session] = world.environment.sessions;
    expect([world.connection.transport, session?.isClosed]).toEqual(["websocket", false]);
    world.environment.wake("leave");
    expect(session?.isClosed).toBe(true);
  });

  it("closes an attempt that has said Hello, and one that opens", async () => {
    const world = new World();
    world.webtransport = "https://host:4433/";
    world.environment.offerWebTransport();
    await settle();
    const [session] = world.environment.sessions;
    session?.open();
    await world.environment.advance(300);
    expect(session?.live.sent.at(-1)).toMatchObject({ kind: "hello" });
    world.environment.wake("leave");
    expect([session?.isClosed, world.socket.readyState]).toEqual([true, 3]);
  });

  it("does not connect while it is away, whatever the network does", async () => {
    const world = new World();
    await world.chat();
    world.environment.wake("leave");
    world.environment.wake("leave");
    world.environment.wake("hidden");
    world.environment.wake("online");
    await world.environment.advance(120_000);
    expect(world.environment.sockets).toHaveLength(1);
    expect(world.environment.timers).toBe(0);
  });

  it.each(["return", "visible"] as const)("resumes when it is back (%s), once", async (reason) => {
    const world = new World();
    const chat = await world.chat();
    world.environment.wake("leave");
    const sent = chat.send("written while away");
    world.environment.wake(reason);
    world.environment.wake("visible");
    await world.greet({ chat: chatState() });
    expect(world.connection.state).toBe("ready");
    expect(world.environment.sockets).toHaveLength(2);
    expect(world.socket.last("send").clientMessageId).toBe(sent.id);
  });

  it("is here again when the application moves it", async () => {
    const world = new World();
    await world.greet();
    world.environment.wake("leave");
    void world.connection.move();
    await world.greet();
    world.environment.wake("visible");
    await settle();
    expect([world.connection.state, world.environment.sockets.length]).toEqual(["ready", 2]);
  });

  it("that was closed for good stays closed", async () => {
    const world = new World();
    await world.greet();
    world.connection.close();
    world.environment.wake("leave");
    world.environment.wake("return");
    await world.environment.advance(10_000);
    expect([world.connection.state, world.environment.sockets.length]).toEqual(["closed", 1]);
  });
});
