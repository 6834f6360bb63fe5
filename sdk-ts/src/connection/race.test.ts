import { describe, expect, it, vi } from "vitest";
import { CloseCode } from "../generated/code.js";
import {
  type ClientFrame,
  encodeServerFrame,
  type ServerFrame,
  serverFrameType,
} from "../generated/frame.js";
import type { Link, LinkAddress, LinkEvents, OpenLink, TransportName } from "../link/link.js";
import { FakeEnvironment, settle } from "../testing/environment.js";
import { welcome } from "../testing/samples.js";
import { Writer } from "../wire/codec.js";
import { envelop } from "../wire/envelope.js";
import { Alarm } from "./alarm.js";
import type { Driver } from "./driver.js";
import { FailureMemory, race } from "./race.js";

const WT_URL = "https://host:4433/v1/webtransport";

/** One attempt as the network sees it: the test opens it, fails it, and answers through it. */
class FakeLink implements Link {
  readonly transport: TransportName;
  readonly sent: ClientFrame[] = [];
  isClosed = false;
  open: () => void = () => undefined;
  fail: () => void = () => undefined;
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
    this.isClosed = true;
  }

  stats() {
    return { sentBytes: 0, receivedBytes: 0, droppedSignals: 0 };
  }

  say(frame: ServerFrame): void {
    const writer = new Writer();
    encodeServerFrame(writer, frame);
    this.#events.message(envelop(serverFrameType(frame), writer.view()));
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
  transports: TransportName[] = ["webtransport", "websocket"];
  result: Promise<Driver> = new Promise(() => undefined);

  constructor() {
    this.environment.WebTransport = class {} as unknown as typeof globalThis.WebTransport;
  }

  run(): this {
    const address = (url: string): LinkAddress => ({ url, certificateHash: null });
    this.result = race({
      environment: this.environment,
      alarm: new Alarm(this.environment),
      transports: this.transports,
      openers: { webtransport: this.#opener("webtransport"), websocket: this.#opener("websocket") },
      failures: this.failures,
      grant: () => {
        this.tokens.push(`token-${this.tokens.length + 1}`);
        const connectToken = this.tokens.at(-1) ?? "";
        return Promise.resolve({
          connectToken,
          webtransport: address(WT_URL),
          websocket: address("ws://host/ws"),
        });
      },
      hello: (connectToken) => ({
        kind: "hello",
        versions: { min: 1, max: 1 },
        connectToken,
        agent: "test",
        resume: [],
      }),
      listener: { welcome: vi.fn(), push: vi.fn(), goAway: vi.fn(), closed: vi.fn() },
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
        link.fail = () => reject(new Error("no way"));
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

  it("does not hold it against WebTransport that it was only slower", async () => {
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

  it("can be given up", async () => {
    const course = new Course().run();
    await settle();
    course.abort.abort();
    await expect(course.result).rejects.toThrow(/given up/);
    expect((await course.open("webtransport")).isClosed).toBe(true);
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
});
