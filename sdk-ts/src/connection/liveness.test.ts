import { describe, expect, it } from "vitest";
import { NetworkError } from "../error.js";
import { CloseCode, ErrorCode } from "../generated/code.js";
import { settle } from "../testing/environment.js";
import { at, chatState, welcome } from "../testing/samples.js";
import { World } from "../testing/world.js";

const HOUR_MS = 3_600_000;

describe("a dead server or path", () => {
  it("is found within 6 s by a person who only reads", async () => {
    const world = new World();
    await world.chat();
    await world.environment.advance(5_499);
    expect(world.connection.state).toBe("ready");
    await world.environment.advance(1);
    expect(world.connection.state).toBe("reconnecting");
    expect(world.connection.failure).toMatchObject({ error: { codeName: "IDLE" }, transport: "websocket" });
  });

  it("is not looked for in a hurry by a hidden page, and at once when it is shown", async () => {
    const world = new World();
    world.environment.isPageVisible = false;
    await world.chat();
    await world.environment.advance(19_999);
    expect(world.socket.all("ping")).toHaveLength(0);
    world.environment.isPageVisible = true;
    world.environment.wake("visible");
    expect(world.socket.all("ping")).toHaveLength(1);
    await world.environment.advance(3_000);
    expect(world.connection.state).toBe("reconnecting");
  });

  it("costs nobody quick pings who has no chat", async () => {
    const world = new World();
    await world.greet();
    await world.environment.advance(19_999);
    expect(world.socket.all("ping")).toHaveLength(0);
  });

  it.each([-HOUR_MS, -300_000, HOUR_MS])(
    "is found as soon when somebody sets the clock by %d ms",
    async (shift) => {
      const world = new World();
      await world.greet();
      world.environment.clockShift = shift;
      await world.environment.advance(29_999);
      expect(world.connection.state).toBe("ready");
      await world.environment.advance(1);
      expect(world.connection.state).toBe("reconnecting");
    },
  );

  it("is found within 3 s of a wake when somebody has set the clock back", async () => {
    const world = new World();
    await world.greet();
    world.environment.clockShift = -HOUR_MS;
    world.environment.wake("visible");
    await world.environment.advance(3_000);
    expect(world.connection.state).toBe("reconnecting");
  });
});

describe("a clock that is set", () => {
  it("holds no message back that is to be sent again in a second", async () => {
    const world = new World();
    const chat = await world.chat();
    const sent = chat.send("hello");
    world.refuse("send", ErrorCode.RATE_LIMITED, 1_000);
    world.environment.clockShift = -HOUR_MS;
    await world.environment.advance(1_000);
    expect(world.socket.all("send")).toHaveLength(2);
    world.say({ kind: "ack", request: world.socket.last("send").request, position: at(1, 1), atMs: 1 });
    await expect(sent.acked).resolves.toEqual(at(1, 1));
  });

  it("holds no request open for longer", async () => {
    const world = new World();
    const chat = await world.chat();
    const failed = expect(chat.delete(at(1, 1))).rejects.toMatchObject({ codeName: "TIMEOUT" });
    world.environment.clockShift = -HOUR_MS;
    for (let second = 0; second < 15; second += 1) {
      await world.environment.advance(1_000);
      world.say({ kind: "ping", nonce: second });
    }
    await failed;
  });

  it("neither ends nor stretches a typing signal's pause, and does not move the server's time", async () => {
    const world = new World();
    const chat = await world.chat();
    const before = world.connection.serverTimeMs();
    chat.typing();
    world.environment.clockShift = -HOUR_MS;
    await world.environment.advance(2_500);
    chat.typing();
    expect(world.socket.all("typing")).toHaveLength(2);
    expect(world.connection.serverTimeMs() - before).toBe(2_500);
  });

  it("does not make a late rival out of a stranger, nor keep WebTransport from being tried again", async () => {
    const world = new World();
    world.failures.failed("https://host:4433/", world.environment.monotonicNow());
    world.environment.clockShift = -HOUR_MS;
    await world.environment.advance(600_000);
    expect(world.failures.isFresh("https://host:4433/", world.environment.monotonicNow())).toBe(false);
  });
});

describe("a platform without a transport", () => {
  it.each([
    ["has none", {}, null],
    ["has not the one that is asked for", { webtransport: "https://host:4433/" }, "websocket"],
  ] as const)(
    "that %s closes with an error that says so, and uses up no connect token",
    async (_, more, has) => {
      const world = new World();
      const joined = world.connection.join("music");
      Object.assign(world, more);
      if (has === null) {
        Object.assign(world.environment, { WebSocket: null });
      } else {
        void world.connection.move(["webtransport"]);
      }
      await expect(joined).rejects.toMatchObject({ codeName: "NO_TRANSPORT", isTemporary: false });
      expect(world.connection.state).toBe("closed");
      expect(world.connection.error?.message).toContain("lacks every transport");
      expect(world.grants).toBeLessThanOrEqual(has === null ? 0 : 1);
    },
  );

  it.each([
    [[], "none was asked for"],
    [["webtransport"], "asked for: webtransport"],
    [["webtransport", "websocket"], "asked for: webtransport, websocket"],
  ] as const)("says what was asked for: %j", async (transports, asked) => {
    const world = new World();
    Object.assign(world.environment, { WebSocket: null });
    void world.connection.move(transports);
    await settle();
    expect(world.connection.error?.message).toBe(
      `This platform lacks every transport that may be used (${asked}); bring one in \`environment\`.`,
    );
  });

  it("but WebTransport connects over that", async () => {
    const world = new World();
    world.webtransport = "https://host:4433/";
    world.environment.offerWebTransport();
    Object.assign(world.environment, { WebSocket: null });
    await settle();
    world.environment.sessions[0]?.open();
    await settle();
    world.environment.sessions[0]?.live.say(welcome());
    await settle();
    expect([world.connection.state, world.connection.transport]).toEqual(["ready", "webtransport"]);
  });

  it("in common with the server closes, too", async () => {
    const world = new World();
    world.environment.offerWebTransport();
    void world.connection.move(["webtransport"]);
    await settle();
    expect(world.connection.error).toMatchObject({ codeName: "NO_TRANSPORT" });
  });

  it("in common with the node that a GoAway names asks for another node", async () => {
    const world = new World();
    await world.greet();
    world.say({ kind: "goAway", retryAfterMs: 0, endpoint: { webtransport: "", websocket: "" } });
    await world.environment.advance(1_000);
    expect(world.connection.state).not.toBe("closed");
    expect(world.environment.sockets.length).toBeGreaterThan(1);
  });
});

describe("why there is no link", () => {
  it("can be seen while attempts fail, until one works", async () => {
    const world = new World();
    const told: unknown[] = [];
    world.connection.on("failure", ({ error, transport }) => told.push([error.codeName, transport]));
    expect(world.connection.failure).toBeNull();
    world.grantError = new NetworkError("no network");
    await world.environment.advance(0);
    expect(world.connection.failure).toEqual({ error: world.grantError, transport: null });
    world.grantError = null;
    await world.environment.advance(1_000);
    world.socket.lose();
    await settle();
    expect(world.connection.failure).toMatchObject({
      error: { codeName: "NETWORK" },
      transport: "websocket",
    });
    await world.environment.advance(2_000);
    await world.greet();
    expect(world.connection.failure).toBeNull();
    world.socket.lose();
    expect(told).toEqual([
      ["NETWORK", null],
      ["NETWORK", "websocket"],
      ["LINK_LOST", "websocket"],
    ]);
  });
});

describe("a listener", () => {
  it("of a lost link may move it: that is one new connection", async () => {
    const world = new World();
    await world.greet();
    world.connection.on("state", (state) => {
      if (state === "reconnecting") {
        void world.connection.move(["websocket"]);
      }
    });
    world.socket.lose();
    await world.environment.advance(2_000);
    expect(world.environment.sockets.filter(({ readyState }) => readyState !== 3)).toHaveLength(1);
    for (const socket of world.environment.sockets.slice(1)) {
      socket.open();
    }
    await settle();
    expect(world.environment.sockets.slice(1).flatMap((socket) => socket.all("hello"))).toHaveLength(1);
    world.say(welcome());
    await world.environment.advance(2_000);
    expect([world.connection.state, world.connection.stats().links]).toEqual(["ready", 2]);
  });

  it("of a hole that is fetched again may move the connection", async () => {
    const world = new World();
    const chat = await world.chat();
    world.connection.on("state", (state) => {
      if (state === "reconnecting") {
        void world.connection.move();
      }
    });
    const missing = { kind: "message", chat: chat.id, position: at(1, 3), member: 1 } as const;
    const rest = {
      clientMessageId: chat.id,
      atMs: 1,
      replyTo: null,
      body: { kind: "text", text: "three" },
    } as const;
    world.say({ ...missing, ...rest });
    await world.environment.advance(1_000);
    expect(world.environment.sockets.filter(({ readyState }) => readyState !== 3)).toHaveLength(1);
  });

  it("of a new link may close it, and sees nothing half done", async () => {
    const world = new World();
    const seen: unknown[] = [];
    world.connection.on("state", (state) => {
      const { connection } = world;
      seen.push([state, connection.chat?.id ?? null, connection.transport]);
      if (state === "ready") {
        connection.close();
      }
    });
    world.connection.on("chat", (chat) => seen.push(["chat", chat.id]));
    const { chat } = chatState();
    await world.greet({ chat: chatState() });
    expect(seen).toEqual([
      ["ready", chat, "websocket"],
      ["chat", chat],
      ["closed", chat, null],
    ]);
    expect(world.socket.last("bye").code).toBe(CloseCode.CLIENT_LEFT);
    await world.environment.advance(10_000);
    expect(world.environment.timers).toBe(0);
  });

  it("of the end of the connection may ask it for anything", async () => {
    const world = new World();
    const chat = await world.chat();
    const errors: unknown[] = [];
    world.connection.on("state", () => {
      world.connection.close();
      void world.connection.join("music").catch((error: unknown) => errors.push(error));
      void chat.leave().catch((error: unknown) => errors.push(error));
    });
    world.connection.close();
    await settle();
    expect(errors).toMatchObject([{ codeName: "CLIENT_LEFT" }, { codeName: "CLIENT_LEFT" }]);
  });

  it("of the end of a chat finds it ended: nobody types, nothing can be sent", async () => {
    const world = new World();
    const chat = await world.chat();
    const seen: unknown[] = [];
    world.say({ kind: "memberTyping", chat: chat.id, member: 1, isTyping: true });
    chat.send("on its way");
    chat.on("typing", () => seen.push([chat.end?.reason, chat.isPartnerTyping, chat.messages.length]));
    world.say({ kind: "ended", chat: chat.id, reason: "left", member: 1, expiresAtMs: 9 });
    expect(seen).toEqual([["left", false, 1]]);
  });
});
