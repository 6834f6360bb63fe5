import { describe, expect, it, vi } from "vitest";
import { NetworkError } from "../error.js";
import type { ClientFrame } from "../generated/frame.js";
import { FakeEnvironment, settle } from "../testing/environment.js";
import { CHAT, serverBytes } from "../testing/samples.js";
import type { FakeSocket } from "../testing/socket.js";
import type { Link } from "./link.js";
import { openWebSocket } from "./websocket.js";

const PING: ClientFrame = { kind: "ping", nonce: 1 };
const TYPING: ClientFrame = { kind: "typing", chat: CHAT, isTyping: true };

class Course {
  readonly environment = new FakeEnvironment();
  readonly abort = new AbortController();
  readonly heard: unknown[] = [];
  readonly opening: Promise<Link>;

  constructor(isGivenUp = false) {
    if (isGivenUp) {
      this.abort.abort();
    }
    const events = {
      bytes: () => void this.heard.push("bytes"),
      datagram: () => void this.heard.push("datagram"),
      message: (bytes: Uint8Array | null) => void this.heard.push(bytes === null ? null : [...bytes]),
      closed: () => void this.heard.push("closed"),
    };
    const address = { url: "wss://host/v1/websocket", certificateHash: null };
    this.opening = openWebSocket(this.environment.WebSocket, address, events, this.abort.signal);
    this.opening.catch(() => undefined);
  }

  get socket(): FakeSocket {
    const socket = this.environment.sockets.at(-1);
    if (socket === undefined) {
      throw new Error("no socket was opened");
    }
    return socket;
  }

  async open(): Promise<Link> {
    this.socket.open();
    return await this.opening;
  }
}

describe("opening a WebSocket", () => {
  it("resolves once it is open, for binary messages", async () => {
    const course = new Course();
    const link = await course.open();
    expect(course.socket.url).toBe("wss://host/v1/websocket");
    expect(course.socket.binaryType).toBe("arraybuffer");
    expect(link.transport).toBe("websocket");
    expect(link.stats()).toEqual({ sentBytes: 0, receivedBytes: 0, droppedSignals: 0 });
  });

  it("fails with the close code, and then no end is told", async () => {
    const course = new Course();
    course.socket.lose();
    await expect(course.opening).rejects.toMatchObject({
      codeName: "NETWORK",
      message: expect.stringContaining("1006"),
    });
    expect(course.heard).toEqual([]);
  });

  it("fails at once when only an error is told, as in Chromium under a policy", async () => {
    const course = new Course();
    course.socket.dispatchEvent(new Event("error"));
    await expect(course.opening).rejects.toMatchObject({
      codeName: "NETWORK",
      message: "The WebSocket could not be opened.",
    });
    expect(course.heard).toEqual([]);
  });

  it("fails with an error of ours when the constructor throws anything, as in Firefox", async () => {
    const refuse = function refuse() {
      throw "NS_ERROR_CONTENT_BLOCKED";
    } as unknown as typeof WebSocket;
    const { abort } = new Course();
    const address = { url: "wss://host/v1/websocket", certificateHash: null };
    const events = { bytes: vi.fn(), datagram: vi.fn(), message: vi.fn(), closed: vi.fn() };
    const opening = openWebSocket(refuse, address, events, abort.signal);
    await expect(opening).rejects.toBeInstanceOf(NetworkError);
    await expect(opening).rejects.toMatchObject({
      message: "The WebSocket could not be opened.",
      cause: "NS_ERROR_CONTENT_BLOCKED",
    });
  });

  it("is given up at once, also when the browser tells no end", async () => {
    const course = new Course();
    course.socket.close = () => undefined;
    course.abort.abort();
    await expect(course.opening).rejects.toMatchObject({ message: "The attempt was given up." });
  });

  it.each([false, true])("can be given up (before it began: %s)", async (isGivenUp) => {
    const course = new Course(isGivenUp);
    course.abort.abort();
    expect(course.socket.readyState).toBe(3);
    await expect(course.opening).rejects.toMatchObject({ codeName: "NETWORK" });
  });
});

describe("an open WebSocket", () => {
  it("sends one frame in one message, and counts the bytes", async () => {
    const course = new Course();
    const link = await course.open();
    link.send(PING);
    link.send(TYPING);
    link.startCopies();
    expect(course.socket.sent).toEqual([PING, TYPING]);
    expect(link.stats().sentBytes).toBe(3 + 19);
  });

  it("drops signals while it is behind, and never anything else", async () => {
    const course = new Course();
    const link = await course.open();
    course.socket.bufferedAmount = 4_096;
    link.send(TYPING);
    course.socket.bufferedAmount = 4_097;
    link.send(TYPING);
    link.send(PING);
    expect(course.socket.sent).toEqual([TYPING, PING]);
    expect(link.stats().droppedSignals).toBe(1);
  });

  it("hands messages on, and tells a text from bytes", async () => {
    const course = new Course();
    const link = await course.open();
    const bytes = serverBytes({ kind: "done", request: 1 });
    course.socket.hear(bytes.buffer);
    course.socket.hear("text");
    expect(course.heard).toEqual([[...bytes], null]);
    expect(link.stats().receivedBytes).toBe(bytes.length);
  });

  it("is closed with 1000, sends nothing more, and tells its end once", async () => {
    const course = new Course();
    const link = await course.open();
    link.close();
    expect(course.socket.closeCode).toBe(1_000);
    link.send(PING);
    await settle();
    course.socket.lose();
    expect(course.socket.sent).toEqual([]);
    expect(course.heard).toEqual(["closed"]);
  });

  it("is closed with the attempt that opened it", async () => {
    const course = new Course();
    await course.open();
    course.abort.abort();
    expect(course.socket.readyState).toBe(3);
  });
});
