import { describe, expect, it, vi } from "vitest";
import { NetworkError } from "../error.js";
import { CloseCode } from "../generated/code.js";
import type { ClientFrame, ServerFrame } from "../generated/frame.js";
import type { Link, LinkAddress, LinkEvents, OpenLink, TransportName } from "../link/link.js";
import { FakeEnvironment, settle } from "../testing/environment.js";
import { serverBytes, welcome } from "../testing/samples.js";
import { Alarm } from "./alarm.js";
import type { Driver } from "./driver.js";
import { FailureMemory, race } from "./race.js";

const WT_URL = "https://host:4433/v1/webtransport";

/** One attempt as the network sees it: the test opens it, lets it fail, and replies over it. */
class FakeLink implements Link {
  readonly transport: TransportName;
  readonly sent: ClientFrame[] = [];
  isClosed = false;
  open: () => void = () => undefined;
  fail: (error?: Error) => void = () => undefined;
  readonly #events: LinkEvents;

  constructor(transport: TransportName, events: LinkEvents) {
    this.transport = transport;
    this.#events = events;
  }

  send(frame: ClientFrame): void {
    this.sent.push(frame);
  }

  startCopies(): void {}

  close(): void {
    if (!this.isClosed) {
      this.isClosed = true;
      queueMicrotask(() => this.#events.closed());
    }
  }

  stats() {
    return { sentBytes: 0, receivedBytes: 0, droppedSignals: 0 };
  }

  say(frame: ServerFrame): void {
    this.#events.message(serverBytes(frame));
  }

  lose(): void {
    this.#events.closed();
  }

  get hasGreeted(): boolean {
    return this.sent.some((frame) => frame.kind === "hello");
  }
}

class Course {
  readonly environment = new FakeEnvironment();
  readonly failures = new FailureMemory();
  readonly links: Partial<Record<TransportName, FakeLink>> = {};
  readonly tokens: string[] = [];
  readonly abort = new AbortController();
  /** What comes instead of a grant. */
  grantError: Error | null = null;
  transports: TransportName[] = ["webtransport", "websocket"];
  /** Where the server is, as each of its grants says; the last one stands for all that follow. */
  addresses: Partial<Record<TransportName, string>>[] = [{ webtransport: WT_URL, websocket: "ws://host/ws" }];
  readonly listener = { welcome: vi.fn(), push: vi.fn(), goAway: vi.fn(), closed: vi.fn() };
  readonly failed = vi.fn();
  result: Promise<Driver> = new Promise(() => undefined);

  constructor() {
    this.environment.WebTransport = class {} as unknown as typeof globalThis.WebTransport;
  }

  run(): this {
    const address = (url: string | undefined): LinkAddress | null =>
      url === undefined ? null : { url, certificateHash: null };
    this.result = race({
      environment: this.environment,
      alarm: new Alarm(this.environment),
      transports: this.transports,
      openers: { webtransport: this.#opener("webtransport"), websocket: this.#opener("websocket") },
      failures: this.failures,
      grant: () => {
        if (this.grantError !== null) {
          return Promise.reject(this.grantError);
        }
        this.tokens.push(`token-${this.tokens.length + 1}`);
        const connectToken = this.tokens.at(-1) ?? "";
        const { webtransport, websocket } =
          this.addresses[this.tokens.length - 1] ?? this.addresses.at(-1) ?? {};
        return Promise.resolve({
          connectToken,
          webtransport: address(webtransport),
          websocket: address(websocket),
        });
      },
      hello: (connectToken) => ({
        kind: "hello",
        versions: { min: 1, max: 1 },
        connectToken,
        agent: "test",
        resume: [],
      }),
      listener: this.listener,
      failed: this.failed,
      signal: this.abort.signal,
    });
    this.result.catch(() => undefined);
    return this;
  }

  link(transport: TransportName): FakeLink {
    const link = this.links[transport];
    if (link === undefined) {
      throw new Error(`${transport} was not tried`);
    }
    return link;
  }

  async open(transport: TransportName): Promise<FakeLink> {
    const link = this.link(transport);
    link.open();
    await settle();
    return link;
  }

  #opener(transport: TransportName): OpenLink {
    return (_, events) => {
      const link = new FakeLink(transport, events);
      this.links[transport] = link;
      return new Promise((resolve, reject) => {
        link.open = () => resolve(link);
        link.fail = (error = new Error("no way")) => reject(error);
      });
    };
  }
}

describe("the race", () => {
  it("is WebTransport's when it is quick: no WebSocket is opened", async () => {
    const course = new Course().run();
    await course.environment.advance(299);
    const link = await course.open("webtransport");
    link.say(welcome());
    const driver = await course.result;
    expect(driver.transport).toBe("webtransport");
    await course.environment.advance(10_000);
    expect(course.links.websocket).toBeUndefined();
    expect(course.tokens).toHaveLength(1);
  });

  it("is the WebSocket's when WebTransport hangs, and WebTransport is remembered", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    const link = await course.open("websocket");
    expect(link.sent[0]).toMatchObject({ connectToken: "token-2" });
    link.say(welcome());
    expect((await course.result).transport).toBe("websocket");
    expect(course.failures.isFresh(WT_URL, course.environment.now())).toBe(false);
    await course.environment.advance(3_000);
    expect(course.failures.isFresh(WT_URL, course.environment.now())).toBe(true);
  });

  it("does not count it as a failure of WebTransport to be slower", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    (await course.open("websocket")).say(welcome());
    await course.result;
    const late = await course.open("webtransport");
    expect(late.isClosed).toBe(true);
    expect(late.hasGreeted).toBe(false);
    await course.environment.advance(10_000);
    expect(course.failures.isFresh(WT_URL, course.environment.now())).toBe(false);
  });

  it("starts the WebSocket at once when WebTransport fails", async () => {
    const course = new Course().run();
    await settle();
    course.link("webtransport").fail();
    await settle();
    (await course.open("websocket")).say(welcome());
    expect((await course.result).transport).toBe("websocket");
    expect(course.failures.isFresh(WT_URL, course.environment.now())).toBe(true);
  });

  it("starts the WebSocket once, though its time comes after WebTransport has failed", async () => {
    const course = new Course().run();
    await settle();
    course.link("webtransport").fail();
    await settle();
    const link = course.link("websocket");
    await course.environment.advance(300);
    expect(course.link("websocket")).toBe(link);
    expect(course.tokens).toHaveLength(2);
  });

  it("gives no turn to an attempt that opens after its time", async () => {
    const course = new Course().run();
    await course.environment.advance(3_000);
    const late = await course.open("webtransport");
    expect([late.isClosed, late.hasGreeted]).toEqual([true, false]);
    (await course.open("websocket")).say(welcome());
    expect((await course.result).transport).toBe("websocket");
  });

  it("closes an attempt that waits for its turn when the other one wins", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    const first = await course.open("websocket");
    const second = await course.open("webtransport");
    first.say(welcome());
    expect([second.isClosed, second.hasGreeted]).toEqual([true, false]);
    expect((await course.result).hadRival).toBe(false);
  });

  it("keeps the turn of an attempt when the one that waits fails", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    const first = await course.open("webtransport");
    const second = await course.open("websocket");
    second.lose();
    first.say(welcome());
    const driver = await course.result;
    expect([driver.transport, driver.hadRival]).toEqual(["webtransport", false]);
    expect(second.hasGreeted).toBe(false);
  });

  it("does not wait for a WebSocket once WebTransport has won", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    (await course.open("webtransport")).say(welcome());
    await course.result;
    await course.environment.advance(20_000);
    expect(course.failures.isFresh("ws://host/ws", course.environment.now())).toBe(false);
  });

  it("lets one attempt at a time say Hello", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    const first = await course.open("webtransport");
    const second = await course.open("websocket");
    expect([first.hasGreeted, second.hasGreeted]).toEqual([true, false]);
    await course.environment.advance(999);
    expect(second.hasGreeted).toBe(false);
    await course.environment.advance(1);
    expect([first.isClosed, second.hasGreeted]).toEqual([true, true]);
    const late = expect.objectContaining({ codeName: "NETWORK", message: "The server did not answer." });
    expect(course.failed).toHaveBeenCalledExactlyOnceWith(late, "webtransport");
    second.say(welcome());
    expect((await course.result).transport).toBe("websocket");
  });

  it("is over when the server refuses: another transport would hear the same", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    const link = await course.open("websocket");
    link.say({ kind: "bye", code: CloseCode.OVERLOADED, retryAfterMs: 9, reason: "" });
    await expect(course.result).rejects.toMatchObject({ codeName: "OVERLOADED", retryAfterMs: 9 });
  });

  it("fails when all have failed, and then nothing is remembered: the network itself is gone", async () => {
    const course = new Course().run();
    await settle();
    course.link("webtransport").fail();
    await settle();
    course.link("websocket").fail();
    await expect(course.result).rejects.toMatchObject({ isTemporary: true });
    expect(course.failures.isFresh(WT_URL, course.environment.now())).toBe(false);
  });

  it("ends by itself when nothing answers", async () => {
    const course = new Course().run();
    await course.environment.advance(10_300);
    await expect(course.result).rejects.toMatchObject({ codeName: "NETWORK" });
    expect(course.environment.timers).toBe(0);
  });

  it("skips WebTransport while its failure is fresh, and tries it when nothing else is allowed", async () => {
    const course = new Course();
    course.failures.failed(WT_URL, course.environment.now());
    course.run();
    await settle();
    expect(Object.keys(course.links)).toEqual(["websocket"]);

    const forced = new Course();
    forced.failures.failed(WT_URL, forced.environment.now());
    forced.transports = ["webtransport"];
    forced.run();
    await settle();
    expect(Object.keys(forced.links)).toEqual(["webtransport"]);
  });

  it("takes only what the browser has", async () => {
    const course = new Course();
    course.environment.WebTransport = null;
    course.run();
    await settle();
    expect(Object.keys(course.links)).toEqual(["websocket"]);
  });

  it("continues with the WebSocket at once when the WebTransport is lost after its Hello", async () => {
    const course = new Course().run();
    await course.environment.advance(100);
    const first = await course.open("webtransport");
    expect(first.hasGreeted).toBe(true);
    first.lose();
    await settle();
    const second = await course.open("websocket");
    expect(second.hasGreeted).toBe(true);
    second.say(welcome());
    const driver = await course.result;
    expect(driver.transport).toBe("websocket");
    // The Hello of the first may still come through.
    expect(driver.hadRival).toBe(true);
  });

  it("has no rival when nobody else has said Hello", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    (await course.open("websocket")).say(welcome());
    const driver = await course.result;
    expect(driver.hadRival).toBe(false);
    expect(course.listener.welcome).toHaveBeenCalledExactlyOnceWith(driver, welcome());
  });

  it("lets an attempt that said Hello keep its turn as long as nobody waits for it", async () => {
    const course = new Course();
    course.transports = ["websocket"];
    course.run();
    await settle();
    const link = await course.open("websocket");
    await course.environment.advance(5_000);
    expect(link.isClosed).toBe(false);
    link.say(welcome());
    expect((await course.result).transport).toBe("websocket");
    expect(course.environment.timers).toBe(1);
  });

  it("passes the turn on at once when the one that has it fails", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    const first = await course.open("webtransport");
    const second = await course.open("websocket");
    first.lose();
    expect(second.hasGreeted).toBe(true);
    expect(second.sent[0]).toMatchObject({ connectToken: "token-2" });
  });

  it("gives each transport its time", async () => {
    for (const [transport, deadlineMs] of [
      ["webtransport", 3_000],
      ["websocket", 10_000],
    ] as const) {
      const course = new Course();
      course.transports = [transport];
      course.run();
      await course.environment.advance(deadlineMs - 1);
      expect(course.link(transport).isClosed).toBe(false);
      const failed = expect(course.result).rejects.toMatchObject({
        codeName: "NETWORK",
        message: "The server did not answer.",
      });
      await course.environment.advance(1);
      await failed;
    }
  });

  it("counts the time to Welcome, not to the open link", async () => {
    const course = new Course();
    course.transports = ["webtransport"];
    course.run();
    await course.environment.advance(2_900);
    await course.open("webtransport");
    await course.environment.advance(100);
    await expect(course.result).rejects.toMatchObject({ codeName: "NETWORK" });
    expect(course.link("webtransport").isClosed).toBe(true);
  });

  it("forgets a failure of WebTransport once it works", async () => {
    const course = new Course();
    course.failures.failed(WT_URL, 0);
    course.transports = ["webtransport"];
    course.run();
    await settle();
    (await course.open("webtransport")).say(welcome());
    await course.result;
    course.failures.failed(WT_URL, 0);
    expect(course.failures.isFresh(WT_URL, 10 * 60_000)).toBe(false);
  });

  it("closes a WebTransport that has had its turn, and remembers that it failed", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    const first = await course.open("webtransport");
    const second = await course.open("websocket");
    await course.environment.advance(1_000);
    expect([first.isClosed, second.hasGreeted]).toEqual([true, true]);
    second.say(welcome());
    await course.result;
    expect(course.failures.isFresh(WT_URL, course.environment.now())).toBe(true);
    expect(first.sent.map(({ kind }) => kind)).toEqual(["hello", "bye"]);
  });

  it("closes a WebSocket that is still opening when WebTransport wins", async () => {
    const course = new Course().run();
    await course.environment.advance(300);
    (await course.open("webtransport")).say(welcome());
    await course.result;
    const late = await course.open("websocket");
    expect([late.isClosed, late.hasGreeted]).toEqual([true, false]);
    await course.environment.advance(20_000);
    expect(course.failures.isFresh("ws://host/ws", course.environment.now())).toBe(false);
  });

  it("fails with the first failure", async () => {
    const course = new Course().run();
    await settle();
    course.link("webtransport").fail(new NetworkError("first"));
    await settle();
    course.link("websocket").fail(new NetworkError("second"));
    await expect(course.result).rejects.toThrow("first");
    expect(course.environment.timers).toBe(0);
  });

  it("fails with the first failure that may pass, though one that stays came before it", async () => {
    const course = new Course().run();
    await settle();
    course.link("webtransport").fail(new NetworkError("refused", { isTemporary: false }));
    await settle();
    course.link("websocket").fail(new NetworkError("down"));
    await expect(course.result).rejects.toMatchObject({ message: "down", isTemporary: true });
  });

  it("fails when the server names no transport that can be used", async () => {
    const course = new Course();
    course.addresses = [{}];
    course.run();
    await expect(course.result).rejects.toMatchObject({
      codeName: "NO_TRANSPORT",
      message: "The server offers no transport that can be used here.",
    });
  });

  it("takes a second grant without the transport for a failure of that attempt", async () => {
    const course = new Course();
    course.addresses = [{ webtransport: WT_URL, websocket: "ws://host/ws" }, {}];
    course.run();
    await course.environment.advance(300);
    expect(course.links.websocket).toBeUndefined();
    course.link("webtransport").fail(new NetworkError("none"));
    await expect(course.result).rejects.toThrow("The server offers no websocket.");
  });

  it("fails when there is no grant", async () => {
    const course = new Course();
    course.grantError = new NetworkError("no grant");
    course.run();
    await expect(course.result).rejects.toThrow("no grant");
    expect(course.links).toEqual({});
  });

  it("starts nothing when it was given up before it had its grant", async () => {
    const course = new Course().run();
    course.abort.abort();
    await expect(course.result).rejects.toMatchObject({
      codeName: "NETWORK",
      message: "The attempt was given up.",
    });
    expect(course.links).toEqual({});
    expect(course.environment.timers).toBe(0);
  });

  it("that is over is not given up any more", async () => {
    const course = new Course().run();
    await settle();
    const link = await course.open("webtransport");
    link.say(welcome());
    await course.result;
    course.abort.abort();
    expect(link.isClosed).toBe(false);
  });

  it("hands what comes over the winner to the listener", async () => {
    const course = new Course().run();
    await settle();
    const link = await course.open("webtransport");
    link.say(welcome());
    const driver = await course.result;
    link.say({ kind: "done", request: 1 });
    link.say({ kind: "goAway", retryAfterMs: 1, endpoint: null });
    link.lose();
    expect(course.listener.push).toHaveBeenCalledExactlyOnceWith({ kind: "done", request: 1 });
    expect(course.listener.goAway).toHaveBeenCalledOnce();
    const closed = { code: null, shouldReconnect: true, retryAfterMs: 0 };
    expect(course.listener.closed).toHaveBeenCalledExactlyOnceWith(driver, closed);
  });

  it("can be given up", async () => {
    const course = new Course().run();
    await settle();
    course.abort.abort();
    await expect(course.result).rejects.toThrow(/given up/);
    expect(course.environment.timers).toBe(0);
    expect((await course.open("webtransport")).isClosed).toBe(true);
    await settle();
    expect(course.failures.isFresh(WT_URL, course.environment.now())).toBe(false);
  });
});

describe("the memory of failures", () => {
  it("doubles from 10 minutes to a day, and is cleared", () => {
    const memory = new FailureMemory();
    const minutes = (count: number) => count * 60_000;
    memory.failed(WT_URL, 0);
    expect([memory.isFresh(WT_URL, minutes(10) - 1), memory.isFresh(WT_URL, minutes(10))]).toEqual([
      true,
      false,
    ]);
    memory.failed(WT_URL, 0);
    expect([memory.isFresh(WT_URL, minutes(20) - 1), memory.isFresh(WT_URL, minutes(20))]).toEqual([
      true,
      false,
    ]);
    for (let count = 0; count < 20; count += 1) {
      memory.failed(WT_URL, 0);
    }
    expect(memory.isFresh(WT_URL, minutes(24 * 60) - 1)).toBe(true);
    expect(memory.isFresh(WT_URL, minutes(24 * 60))).toBe(false);
    expect(memory.isFresh("https://elsewhere:4433/", 0)).toBe(false);
    memory.clear();
    expect(memory.isFresh(WT_URL, 0)).toBe(false);
  });

  it("is kept by host and port, whatever the path; an address that is not a URL is kept as it is", () => {
    const memory = new FailureMemory();
    memory.failed("https://host:4433/v1/webtransport", 0);
    expect(memory.isFresh("https://host:4433/other", 0)).toBe(true);
    expect(memory.isFresh("https://host:4434/v1/webtransport", 0)).toBe(false);
    memory.failed("not a URL", 0);
    expect([memory.isFresh("not a URL", 0), memory.isFresh("another", 0)]).toEqual([true, false]);
    memory.worked("https://host:4433/");
    expect([memory.isFresh(WT_URL, 0), memory.isFresh("not a URL", 0)]).toEqual([false, true]);
  });

  it("holds 32 hosts; the one that failed longest ago goes", () => {
    const memory = new FailureMemory();
    const url = (count: number) => `https://host-${count}/`;
    for (let count = 0; count < 32; count += 1) {
      memory.failed(url(count), 0);
    }
    memory.failed(url(0), 0);
    expect([memory.isFresh(url(0), 0), memory.isFresh(url(1), 0)]).toEqual([true, true]);
    memory.failed(url(32), 0);
    expect([memory.isFresh(url(0), 0), memory.isFresh(url(1), 0), memory.isFresh(url(2), 0)]).toEqual([
      true,
      false,
      true,
    ]);
  });
});
