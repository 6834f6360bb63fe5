import { describe, expect, it, vi } from "vitest";
import { CloseCode } from "../generated/code.js";
import type { Hello } from "../generated/connect.js";
import { encodeServerFrame, FrameType, type ServerFrame } from "../generated/frame.js";
import type { Link } from "../link/link.js";
import { openWebSocket } from "../link/websocket.js";
import { FakeEnvironment, settle } from "../testing/environment.js";
import { serverBytes, welcome } from "../testing/samples.js";
import type { FakeSocket } from "../testing/socket.js";
import { Writer, writeU32 } from "../wire/codec.js";
import { Alarm } from "./alarm.js";
import { closedError, Driver } from "./driver.js";

const HELLO: Hello = {
  kind: "hello",
  versions: { min: 1, max: 1 },
  connectToken: "token",
  agent: "test",
  resume: [],
};

/** A driver over a fake WebSocket. */
class Course {
  readonly environment = new FakeEnvironment();
  readonly listener = { welcome: vi.fn(), push: vi.fn(), goAway: vi.fn(), closed: vi.fn() };
  readonly driver = new Driver(this.environment, new Alarm(this.environment), this.listener);

  async open(): Promise<FakeSocket> {
    const address = { url: "ws://host/ws", certificateHash: null };
    const opening = this.driver.open(
      (at, events, signal) => openWebSocket(this.environment.WebSocket, at, events, signal),
      address,
      new AbortController().signal,
    );
    const [socket] = this.environment.sockets;
    if (socket === undefined) {
      throw new Error("no socket was opened");
    }
    socket.open();
    await opening;
    return socket;
  }

  async ready(): Promise<FakeSocket> {
    const socket = await this.open();
    this.driver.begin(HELLO);
    socket.say(welcome());
    return socket;
  }
}

describe("a driver", () => {
  it("says nothing before it begins, and has no counters before it is open", async () => {
    const course = new Course();
    expect([course.driver.transport, course.driver.isOpen]).toEqual([null, false]);
    expect(course.driver.stats()).toEqual({
      sentBytes: 0,
      receivedBytes: 0,
      droppedSignals: 0,
      roundTripMs: null,
      unknownFrames: 0,
      droppedDatagrams: 0,
    });
    const socket = await course.open();
    course.driver.check(3_000);
    course.driver.send({ kind: "ping", nonce: 1 });
    expect(socket.sent).toEqual([]);
    course.driver.begin(HELLO);
    course.driver.send({ kind: "ping", nonce: 1 });
    expect(socket.sent).toEqual([HELLO]);
    expect([course.driver.transport, course.driver.isOpen]).toEqual(["websocket", false]);
  });

  it("counts what the link and the conversation do", async () => {
    const course = new Course();
    const socket = await course.ready();
    course.driver.check(3_000);
    await course.environment.advance(40);
    socket.say({ kind: "pong", nonce: 1 });
    socket.hear(Uint8Array.of(0xfb, 0x70, 0, 0).buffer);
    expect(course.driver.stats()).toMatchObject({ roundTripMs: 40, unknownFrames: 1, droppedDatagrams: 0 });
    expect(course.driver.stats().sentBytes).toBeGreaterThan(0);
  });

  it("that has said nothing closes its link without a word", async () => {
    const course = new Course();
    const socket = await course.open();
    course.driver.close();
    expect([socket.sent, socket.closeCode]).toEqual([[], 1_000]);
  });

  it("tells that a link was lost before it has said anything", async () => {
    const course = new Course();
    const socket = await course.open();
    socket.lose();
    const closed = { code: null, shouldReconnect: true, retryAfterMs: 0 };
    expect(course.listener.closed).toHaveBeenCalledExactlyOnceWith(course.driver, closed);
  });

  it("says Bye with the code, and tells the end once", async () => {
    const course = new Course();
    const socket = await course.ready();
    course.driver.close(CloseCode.BAD_FRAME);
    expect(socket.last("bye").code).toBe(CloseCode.BAD_FRAME);
    expect(socket.closeCode).toBe(1_000);
    await settle();
    const closed = { code: CloseCode.BAD_FRAME, shouldReconnect: false, retryAfterMs: 0 };
    expect(course.listener.closed).toHaveBeenCalledExactlyOnceWith(course.driver, closed);
    await course.environment.advance(10_000);
    expect(course.listener.closed).toHaveBeenCalledOnce();
    expect(course.environment.timers).toBe(0);
  });

  it("ends on a text message, which this protocol has none of", async () => {
    const course = new Course();
    const socket = await course.ready();
    socket.hear("text");
    expect(socket.last("bye").code).toBe(CloseCode.BAD_FRAME);
  });

  it("closes the link when the server says Bye", async () => {
    const course = new Course();
    const socket = await course.ready();
    socket.say({ kind: "bye", code: CloseCode.OVERLOADED, retryAfterMs: 7, reason: "" });
    expect(socket.closeCode).toBe(1_000);
    const closed = { code: CloseCode.OVERLOADED, shouldReconnect: true, retryAfterMs: 7 };
    expect(course.listener.closed).toHaveBeenCalledExactlyOnceWith(course.driver, closed);
  });

  it("tells frames in their order, though a listener sends and closes meanwhile", async () => {
    const course = new Course();
    const heard: string[] = [];
    course.listener.push.mockImplementation((frame: ServerFrame) => {
      heard.push(`${frame.kind} begins`);
      course.driver.send({ kind: "ping", nonce: heard.length });
      heard.push(`${frame.kind} ends`);
    });
    const socket = await course.ready();
    socket.say(
      { kind: "done", request: 1 },
      { kind: "goAway", retryAfterMs: 1, endpoint: null },
      { kind: "gone", chat: "019aabcd-ef01-7234-9567-89abcdef0101" },
    );
    expect(heard).toEqual(["done begins", "done ends", "gone begins", "gone ends"]);
    expect(course.listener.goAway).toHaveBeenCalledOnce();
    expect(socket.all("ping").map(({ nonce }) => nonce)).toEqual([1, 3]);
  });

  it("pings only when it has sent nothing for a while", async () => {
    const course = new Course();
    const socket = await course.ready();
    for (let round = 0; round < 5; round += 1) {
      await course.environment.advance(10_000);
      course.driver.send({ kind: "pong", nonce: 0 });
      socket.say({ kind: "done", request: 1 });
    }
    expect(socket.all("ping")).toEqual([]);
    await course.environment.advance(20_000);
    expect(socket.all("ping")).toHaveLength(1);
  });

  it("sets one timer for many frames", async () => {
    const course = new Course();
    const socket = await course.ready();
    const { scheduled } = course.environment;
    for (let round = 0; round < 100; round += 1) {
      await course.environment.advance(10);
      course.driver.send({ kind: "pong", nonce: 0 });
      socket.say({ kind: "done", request: 1 });
    }
    expect(course.environment.scheduled).toBe(scheduled);
    expect(course.environment.timers).toBe(1);
  });

  it("has the link send copies once the server does", async () => {
    const course = new Course();
    const startCopies = vi.fn();
    const stats = () => ({ sentBytes: 0, receivedBytes: 0, droppedSignals: 0 });
    const link: Link = { transport: "webtransport", send: vi.fn(), startCopies, close: vi.fn(), stats };
    const address = { url: "https://host/", certificateHash: null };
    await course.driver.open(() => Promise.resolve(link), address, new AbortController().signal);
    course.driver.begin(HELLO);
    course.driver.bytes("live", serverBytes(welcome()));
    expect(startCopies).not.toHaveBeenCalled();
    const copy = new Writer();
    writeU32(copy, FrameType.laneCopy);
    encodeServerFrame(copy, { kind: "laneCopy", offset: 0, bytes: serverBytes(welcome()) });
    course.driver.datagram(copy.finish());
    expect(startCopies).toHaveBeenCalledOnce();
    expect(course.listener.welcome).toHaveBeenCalledOnce();
  });

  it("hands datagrams and the bytes of streams to the conversation", async () => {
    const course = new Course();
    await course.ready();
    course.driver.datagram(new Uint8Array(3));
    expect(course.driver.stats().droppedDatagrams).toBe(1);
    course.driver.bytes("bulk", Uint8Array.of(7, 1, 5));
    expect(course.listener.push).not.toHaveBeenCalled();
    expect(course.environment.sockets[0]?.last("bye").code).toBe(CloseCode.WRONG_LANE);
  });
});

describe("the error of a closed connection", () => {
  it("has the code and the time to wait", () => {
    const closed = { code: CloseCode.OVERLOADED, shouldReconnect: true, retryAfterMs: 7 };
    expect(closedError(closed)).toMatchObject({ codeName: "OVERLOADED", retryAfterMs: 7 });
  });
});
