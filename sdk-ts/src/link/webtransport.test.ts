import { describe, expect, it } from "vitest";
import { CloseCode } from "../generated/code.js";
import type { ClientFrame } from "../generated/frame.js";
import { CLOSE_DEADLINE_MS, COPY_DELAY_MS, SECOND_COPY_DELAY_MS } from "../generated/limits.js";
import { FakeEnvironment, settle } from "../testing/environment.js";
import { CHAT, serverBytes } from "../testing/samples.js";
import type { DatagramStyle, FakeWebTransport } from "../testing/webtransport.js";
import { Decoder } from "../wire/envelope.js";
import type { Link, LinkAddress } from "./link.js";
import { openWebTransport } from "./webtransport.js";

const ADDRESS: LinkAddress = { url: "https://host:4433/v1/webtransport", certificateHash: null };
const PING: ClientFrame = { kind: "ping", nonce: 1 };
const TYPING: ClientFrame = { kind: "typing", chat: CHAT, isTyping: true };
const HISTORY: ClientFrame = {
  kind: "history",
  request: 1,
  chat: CHAT,
  before: { epoch: 1, seq: 9 },
  limit: 10,
};

/** An attempt to open a link, the server's end of it, and everything that the link has told. */
class Course {
  readonly environment = new FakeEnvironment();
  readonly abort = new AbortController();
  readonly heard: string[] = [];
  readonly opening: Promise<Link>;

  constructor({ address = ADDRESS, style = "writable" as DatagramStyle } = {}) {
    this.environment.offerWebTransport(style);
    const { WebTransport } = this.environment;
    if (WebTransport === null) {
      throw new Error("no WebTransport");
    }
    const tell = (what: string) => (bytes: Uint8Array) => void this.heard.push(`${what} ${bytes.length}`);
    const events = {
      bytes: (lane: string, bytes: Uint8Array) => tell(lane)(bytes),
      datagram: tell("datagram"),
      message: () => void this.heard.push("message"),
      closed: () => void this.heard.push("closed"),
    };
    this.opening = openWebTransport(WebTransport, this.environment, address, events, this.abort.signal);
    this.opening.catch(() => undefined);
  }

  get session(): FakeWebTransport {
    const session = this.environment.sessions.at(-1);
    if (session === undefined) {
      throw new Error("no session was opened");
    }
    return session;
  }

  async open(): Promise<Link> {
    this.session.open();
    return await this.opening;
  }

  async lost(): Promise<string[]> {
    await settle();
    return this.heard;
  }
}

describe("opening", () => {
  it("opens the session and the live stream, no other", async () => {
    const course = new Course();
    const link = await course.open();
    expect(link.transport).toBe("webtransport");
    expect(course.session.url).toBe(ADDRESS.url);
    expect(course.session.options).toEqual({});
    expect(course.session.streams).toHaveLength(1);
  });

  it("names the hash of a development certificate", async () => {
    const certificateHash = new Uint8Array([1, 2, 3]);
    const course = new Course({ address: { ...ADDRESS, certificateHash } });
    await course.open();
    expect(course.session.options).toEqual({
      serverCertificateHashes: [{ algorithm: "sha-256", value: certificateHash }],
    });
  });

  it("lets datagrams wait, by the attributes that this browser has", async () => {
    const course = new Course();
    await course.open();
    expect(course.session.datagrams).toMatchObject({
      incomingHighWaterMark: 256,
      outgoingHighWaterMark: 256,
    });
    expect("incomingMaxBufferedDatagrams" in course.session.datagrams).toBe(false);
    const newer = new Course({ style: "createWritable" });
    await newer.open();
    expect(newer.session.datagrams).toMatchObject({
      incomingMaxBufferedDatagrams: 256,
      outgoingHighWaterMark: 256,
    });
    expect("incomingHighWaterMark" in newer.session.datagrams).toBe(false);
  });

  it("fails with the browser's reason as the cause", async () => {
    const course = new Course();
    course.session.refuse();
    await expect(course.opening).rejects.toMatchObject({
      codeName: "NETWORK",
      message: "WebTransport could not be opened.",
      cause: { message: "Opening handshake failed." },
    });
    expect(await course.lost()).toEqual([]);
  });

  it("fails, and closes the session, when there is no stream", async () => {
    const course = new Course();
    course.session.refusesStreams = true;
    course.session.open();
    await expect(course.opening).rejects.toMatchObject({ codeName: "NETWORK" });
    expect(course.session.isClosed).toBe(true);
  });

  it("can be given up while it opens", async () => {
    const course = new Course();
    course.abort.abort();
    expect(course.session.isClosed).toBe(true);
    await expect(course.opening).rejects.toMatchObject({ codeName: "NETWORK" });
  });

  it("fails when it was given up in the same moment as the session opened", async () => {
    const course = new Course();
    course.session.close = () => undefined;
    course.abort.abort();
    course.session.open();
    await expect(course.opening).rejects.toMatchObject({ cause: { message: "The attempt was given up." } });
  });

  it("is over once the link is open: giving the attempt up later closes nothing", async () => {
    const course = new Course();
    await course.open();
    course.abort.abort();
    expect(course.session.isClosed).toBe(false);
  });
});

describe("sending", () => {
  it("gives each lane its own way", async () => {
    const course = new Course();
    const link = await course.open();
    link.send(PING);
    link.send(TYPING);
    link.send(HISTORY);
    link.send({ ...HISTORY, request: 2 });
    await settle();
    const [live, bulk] = course.session.streams;
    expect(live?.sent).toEqual([PING]);
    expect(bulk?.sent).toEqual([HISTORY, { ...HISTORY, request: 2 }]);
    expect(course.session.sentDatagrams).toEqual([TYPING]);
    expect(course.session.streams).toHaveLength(2);
    const sent = [live, bulk].flatMap((stream) => stream?.sink.chunks ?? []);
    const bytes = [...sent, ...course.session.datagramSink.chunks];
    expect(link.stats().sentBytes).toBe(bytes.reduce((sum, { length }) => sum + length, 0));
  });

  it.each(["writable", "createWritable"] as const)("finds the datagrams' %s", async (style) => {
    const course = new Course({ style });
    const link = await course.open();
    link.send(TYPING);
    await settle();
    expect(course.session.sentDatagrams).toEqual([TYPING]);
  });

  it("drops signals while the network is behind, and only then", async () => {
    const course = new Course();
    const link = await course.open();
    course.session.datagramSink.stall();
    link.send(TYPING);
    link.send(TYPING);
    link.send(TYPING);
    expect(link.stats().droppedSignals).toBe(2);
    course.session.datagramSink.resume();
    await settle();
    link.send({ ...TYPING, isTyping: false });
    await settle();
    expect(course.session.sentDatagrams).toEqual([TYPING, { ...TYPING, isTyping: false }]);
    expect(link.stats().droppedSignals).toBe(2);
  });

  it("drops signals that are longer than a datagram of this path", async () => {
    const course = new Course();
    const link = await course.open();
    course.session.datagrams["maxDatagramSize"] = 18;
    link.send(TYPING); // A type, an id and a flag: 18 bytes.
    await settle();
    course.session.datagrams["maxDatagramSize"] = 17;
    link.send(TYPING);
    await settle();
    expect(course.session.sentDatagrams).toEqual([TYPING]);
    expect(link.stats().droppedSignals).toBe(1);
  });

  it("takes the protocol's longest datagram where the browser names none", async () => {
    const course = new Course();
    const link = await course.open();
    course.session.datagrams["maxDatagramSize"] = 0;
    link.send(TYPING);
    await settle();
    expect(course.session.sentDatagrams).toEqual([TYPING]);
  });
});

describe("copies of the live stream", () => {
  /** What each datagram holds of the live lane: where it begins, and the frames. */
  function copies(session: FakeWebTransport): [number, number[]][] {
    return session.sentDatagrams.map((frame) => {
      if (frame.kind !== "laneCopy") {
        throw new Error(`${frame.kind} is not a copy`);
      }
      const decoder = new Decoder();
      decoder.push(frame.bytes);
      const types: number[] = [];
      for (let raw = decoder.nextFrame(100); raw !== null; raw = decoder.nextFrame(100)) {
        types.push(raw.type);
      }
      return [frame.offset, types];
    });
  }

  it("are not sent while the link loses nothing", async () => {
    const course = new Course();
    const link = await course.open();
    link.send(PING);
    await course.environment.advance(1_000);
    expect(course.session.sentDatagrams).toEqual([]);
  });

  it("go out shortly after, and once more later", async () => {
    const course = new Course();
    const link = await course.open();
    link.send(PING);
    link.startCopies();
    link.send(PING);
    await course.environment.advance(COPY_DELAY_MS - 1);
    expect(copies(course.session)).toEqual([]);
    await course.environment.advance(1);
    expect(copies(course.session)).toEqual([[3, [5]]]);
    await course.environment.advance(SECOND_COPY_DELAY_MS - COPY_DELAY_MS - 1);
    expect(copies(course.session)).toHaveLength(1);
    await course.environment.advance(1);
    expect(copies(course.session)).toEqual([
      [3, [5]],
      [3, [5]],
    ]);
    await course.environment.advance(10_000);
    expect(copies(course.session)).toHaveLength(2);
    expect(course.environment.timers).toBe(0);
  });

  it("of several writes go out together", async () => {
    const course = new Course();
    const link = await course.open();
    link.startCopies();
    link.send(PING);
    await course.environment.advance(1);
    link.send(PING);
    await course.environment.advance(COPY_DELAY_MS);
    expect(copies(course.session)).toEqual([[0, [5, 5]]]);
  });

  it("end with the link, whichever side ends it", async () => {
    const closed = new Course();
    const lost = new Course();
    for (const course of [closed, lost]) {
      const link = await course.open();
      link.startCopies();
      link.send(PING);
      if (course === closed) {
        link.close();
      } else {
        course.session.lose();
      }
      await course.environment.advance(CLOSE_DEADLINE_MS);
      expect(course.session.sentDatagrams).toEqual([]);
      expect(course.environment.timers).toBe(0);
    }
  });
});

describe("receiving", () => {
  it("tells what came on which lane, and counts it", async () => {
    const course = new Course();
    const link = await course.open();
    link.send(HISTORY);
    await settle();
    const [live, bulk] = course.session.streams;
    const bytes = serverBytes({ kind: "done", request: 1 });
    live?.source.say(bytes);
    bulk?.source.say(bytes);
    course.session.datagramSource.say(bytes.subarray(1));
    await settle();
    expect(course.heard.sort()).toEqual(["bulk 3", "datagram 2", "live 3"]);
    expect(link.stats().receivedBytes).toBe(8);
  });
});

describe("the end", () => {
  it("of a closed link waits until what was written is out", async () => {
    const course = new Course();
    const link = await course.open();
    course.session.live.sink.stall();
    link.send(PING);
    link.close();
    link.close();
    await course.environment.advance(CLOSE_DEADLINE_MS - 1);
    expect(course.session.isClosed).toBe(false);
    course.session.live.sink.resume();
    await settle();
    expect(course.session.live.sent).toEqual([PING]);
    expect(course.session.live.sink.isEnded).toBe(true);
  });

  it("of a closed link comes when the server closes", async () => {
    const course = new Course();
    const link = await course.open();
    link.close();
    await settle();
    expect(course.heard).toEqual([]);
    course.session.end();
    expect(await course.lost()).toEqual(["closed"]);
    expect(course.environment.timers).toBe(0);
  });

  it("of a closed link comes in 2 s, whatever the server does", async () => {
    const course = new Course();
    const link = await course.open();
    course.session.live.sink.stall();
    link.send(PING);
    link.close();
    await course.environment.advance(CLOSE_DEADLINE_MS);
    expect(course.session.isClosed).toBe(true);
    expect(await course.lost()).toEqual(["closed"]);
  });

  it.each([
    ["the session is lost", (session: FakeWebTransport) => session.lose()],
    ["the server closes the session", (session: FakeWebTransport) => session.end()],
    ["the server ends the live stream", (session: FakeWebTransport) => session.live.source.end()],
    ["the live stream breaks", (session: FakeWebTransport) => session.live.source.fail()],
  ])("is told once, when %s", async (_, end) => {
    const course = new Course();
    await course.open();
    end(course.session);
    expect(await course.lost()).toEqual(["closed"]);
    expect(course.session.isClosed).toBe(true);
  });

  it("comes at once when the page is left, with the reason for the server, and not when it is hidden", async () => {
    const course = new Course();
    await course.open();
    for (const reason of ["hidden", "visible", "online", "return"] as const) {
      course.environment.wake(reason);
    }
    expect(await course.lost()).toEqual([]);
    course.environment.wake("leave");
    expect(course.session.closeInfo).toEqual({ closeCode: CloseCode.CLIENT_LEFT, reason: "CLIENT_LEFT" });
    expect(await course.lost()).toEqual(["closed"]);
  });

  it("of the datagrams is not the end of the link", async () => {
    const course = new Course();
    await course.open();
    course.session.datagramSource.end();
    expect(await course.lost()).toEqual([]);
  });

  it("of the bulk stream is the end of the link", async () => {
    const course = new Course();
    const link = await course.open();
    link.send(HISTORY);
    await settle();
    course.session.streams[1]?.source.end();
    expect(await course.lost()).toEqual(["closed"]);
  });

  it("comes when the bulk stream cannot be opened", async () => {
    const course = new Course();
    const link = await course.open();
    course.session.refusesStreams = true;
    link.send(HISTORY);
    expect(await course.lost()).toEqual(["closed"]);
  });

  it("is the last that is told", async () => {
    const course = new Course();
    await course.open();
    course.session.end();
    await settle();
    course.session.datagramSource.say(new Uint8Array(3));
    expect(await course.lost()).toEqual(["closed"]);
  });
});
