import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CloseCode } from "../generated/code.js";
import { encodeServerFrame, FrameType, type ServerFrame, serverFrameType } from "../generated/frame.js";
import { unhex } from "../testing/hex.js";
import { CHAT, welcome } from "../testing/samples.js";
import { Writer, writeU32 } from "./codec.js";
import { Conversation, type Output } from "./conversation.js";
import { envelop } from "./envelope.js";

const HELLO = {
  kind: "hello",
  versions: { min: 1, max: 1 },
  connectToken: "token",
  agent: "test",
  resume: [],
} as const;

function bytes(frame: ServerFrame): Uint8Array {
  const writer = new Writer();
  encodeServerFrame(writer, frame);
  return envelop(serverFrameType(frame), writer.view());
}

/** A conversation with all its outputs, driven by hand. */
class Talk {
  readonly conversation = new Conversation(HELLO, 0);
  readonly outputs: Output[] = [];

  constructor() {
    this.drain();
  }

  static ready(): Talk {
    const talk = new Talk();
    talk.live(welcome());
    talk.outputs.length = 0;
    return talk;
  }

  live(frame: ServerFrame, now = 0): this {
    return this.input({ type: "bytes", lane: "live", bytes: bytes(frame) }, now);
  }

  input(input: Parameters<Conversation["handleInput"]>[0], now = 0): this {
    this.conversation.handleInput(input, now);
    return this.drain();
  }

  at(now: number): this {
    this.conversation.handleTimeout(now);
    return this.drain();
  }

  drain(): this {
    for (
      let output = this.conversation.pollOutput();
      output !== null;
      output = this.conversation.pollOutput()
    ) {
      this.outputs.push(output);
    }
    return this;
  }

  /** The code of the `Bye` that was sent, or of the end. */
  get code(): number | null | undefined {
    for (const output of this.outputs) {
      if (output.type === "transmit" && output.frame.kind === "bye") {
        return output.frame.code;
      }
      if (output.type === "closed") {
        return output.closed.code;
      }
    }
    return undefined;
  }
}

describe("opening", () => {
  it("begins with Hello and is open at Welcome", () => {
    const talk = new Talk();
    expect(talk.outputs).toEqual([{ type: "transmit", frame: HELLO }]);
    expect(talk.conversation.isOpen).toBe(false);
    talk.live(welcome());
    expect(talk.outputs.at(-1)?.type).toBe("welcome");
    expect(talk.conversation.isOpen).toBe(true);
  });

  it("gives up after 10 s", () => {
    const talk = new Talk();
    expect(talk.conversation.pollTimeout()).toBe(10_000);
    expect(talk.at(9_999).code).toBeUndefined();
    expect(talk.at(10_000).code).toBe(CloseCode.IDLE);
  });

  it("takes a refusal", () => {
    const talk = new Talk().live({ kind: "bye", code: CloseCode.TOKEN_REFUSED, retryAfterMs: 7, reason: "" });
    const closed = { code: CloseCode.TOKEN_REFUSED, shouldReconnect: true, retryAfterMs: 7 };
    expect(talk.outputs.at(-1)).toEqual({ type: "closed", closed });
  });
});

describe("copies of the live lane", () => {
  const gone: ServerFrame = { kind: "gone", chat: CHAT };
  const opening = bytes(welcome()).length;

  function datagram(offset: number, frames: Uint8Array): Uint8Array {
    const writer = new Writer();
    writeU32(writer, FrameType.laneCopy);
    encodeServerFrame(writer, { kind: "laneCopy", offset, bytes: frames });
    return writer.finish();
  }

  it("count once, before or after the stream", () => {
    const talk = Talk.ready();
    const frame = bytes(gone);
    talk.input({ type: "datagram", bytes: datagram(opening, frame) });
    expect(talk.outputs).toEqual([{ type: "copied" }, { type: "push", frame: gone }]);
    talk.outputs.length = 0;
    talk.live(gone);
    expect(talk.outputs).toEqual([]);
    talk.live(gone);
    expect(talk.outputs).toEqual([{ type: "push", frame: gone }]);
    talk.outputs.length = 0;
    talk.input({ type: "datagram", bytes: datagram(opening, frame) });
    expect(talk.outputs).toEqual([{ type: "copied" }]);
    expect(talk.conversation.droppedDatagrams).toBe(0);
  });

  it("count from the bytes of the live lane alone", () => {
    const talk = Talk.ready();
    const page = bytes({ kind: "page", request: 2, messages: [], hasMore: false });
    talk.input({ type: "bytes", lane: "bulk", bytes: page });
    talk.outputs.length = 0;
    talk.input({ type: "datagram", bytes: datagram(opening, bytes(gone)) });
    expect(talk.outputs).toEqual([{ type: "copied" }, { type: "push", frame: gone }]);
  });

  it("are dropped behind a gap", () => {
    const talk = Talk.ready().input({ type: "datagram", bytes: datagram(opening + 1, bytes(gone)) });
    expect(talk.outputs).toEqual([{ type: "copied" }]);
    expect(talk.conversation.droppedDatagrams).toBe(1);
    expect(talk.live(gone).outputs.at(-1)).toEqual({ type: "push", frame: gone });
  });

  it("mean nothing on a WebSocket", () => {
    const copy: ServerFrame = { kind: "laneCopy", offset: 0, bytes: bytes(gone) };
    const talk = Talk.ready().input({ type: "message", bytes: bytes(copy) });
    expect(talk.outputs).toEqual([]);
    expect(talk.conversation.unknownFrames).toBe(0);
  });
});

describe("what a server does wrong", () => {
  const early: [string, (talk: Talk) => Talk, number][] = [
    ["a push before Welcome", (talk) => talk.live({ kind: "gone", chat: CHAT }), CloseCode.OUT_OF_PHASE],
    [
      "bulk bytes before Welcome",
      (talk) => talk.input({ type: "bytes", lane: "bulk", bytes: unhex("40") }),
      CloseCode.OUT_OF_PHASE,
    ],
  ];
  it.each(early)("%s", (_, act, code) => {
    expect(act(new Talk()).code).toBe(code);
  });

  const late: [string, (talk: Talk) => Talk, number][] = [
    ["a second Welcome", (talk) => talk.live(welcome()), CloseCode.OUT_OF_PHASE],
    [
      "a frame that only a client sends",
      (talk) => talk.input({ type: "bytes", lane: "live", bytes: unhex("100401010000") }),
      CloseCode.OUT_OF_PHASE,
    ],
    [
      "a live frame on the bulk lane",
      (talk) => talk.input({ type: "bytes", lane: "bulk", bytes: bytes({ kind: "gone", chat: CHAT }) }),
      CloseCode.WRONG_LANE,
    ],
    [
      "a frame over the limit",
      (talk) => talk.input({ type: "bytes", lane: "live", bytes: unhex("22fc01000100") }),
      CloseCode.FRAME_TOO_LARGE,
    ],
    [
      "a body that is cut",
      (talk) => talk.input({ type: "bytes", lane: "live", bytes: unhex("0700") }),
      CloseCode.BAD_FRAME,
    ],
    [
      "a message that is cut",
      (talk) => talk.input({ type: "message", bytes: unhex("0701") }),
      CloseCode.BAD_FRAME,
    ],
  ];
  it.each(late)("%s", (_, act, code) => {
    expect(act(Talk.ready()).code).toBe(code);
  });

  it("a frame that is not finished in 10 s", () => {
    const talk = Talk.ready();
    talk.input({ type: "bytes", lane: "live", bytes: unhex("07") }, 1_000);
    expect(talk.conversation.pollTimeout()).toBe(11_000);
    expect(talk.at(11_000).code).toBe(CloseCode.FRAME_LATE);
  });

  it("a frame that is not finished in 10 s on the bulk lane, however busy the other one is", () => {
    const talk = Talk.ready();
    talk.input({ type: "bytes", lane: "bulk", bytes: unhex("40") }, 1_000);
    talk.input({ type: "bytes", lane: "live", bytes: unhex("07") }, 2_000);
    talk.input({ type: "bytes", lane: "live", bytes: unhex("0101") }, 3_000);
    expect(talk.conversation.pollTimeout()).toBe(11_000);
    expect(talk.at(10_999).code).toBeUndefined();
    expect(talk.at(11_000).code).toBe(CloseCode.FRAME_LATE);
  });

  it("a frame that comes in pieces has 10 s from its first byte, the next one from its own", () => {
    const talk = Talk.ready();
    talk.input({ type: "bytes", lane: "live", bytes: unhex("07") }, 1_000);
    talk.input({ type: "bytes", lane: "live", bytes: unhex("01") }, 9_000);
    expect(talk.conversation.pollTimeout()).toBe(11_000);
    talk.input({ type: "bytes", lane: "live", bytes: unhex("0107") }, 10_000);
    expect(talk.conversation.pollTimeout()).toBe(20_000);
    expect(talk.outputs).toEqual([{ type: "push", frame: { kind: "done", request: 1 } }]);
  });

  it("a frame that is not finished in 10 s, also while a pong is due later", () => {
    const talk = Talk.ready();
    talk.input({ type: "bytes", lane: "live", bytes: unhex("07") }, 15_000).at(20_000);
    expect(talk.outputs).toEqual([{ type: "transmit", frame: { kind: "ping", nonce: 1 } }]);
    expect(talk.conversation.pollTimeout()).toBe(25_000);
    talk.outputs.length = 0;
    expect(talk.at(25_000).code).toBe(CloseCode.FRAME_LATE);
  });

  it("nothing more is read after what ends the connection", () => {
    const bye: ServerFrame = { kind: "bye", code: CloseCode.REPLACED, retryAfterMs: 0, reason: "" };
    const done = bytes({ kind: "done", request: 1 });
    const talk = Talk.ready().input({ type: "message", bytes: new Uint8Array([...bytes(bye), ...done]) });
    expect(talk.outputs.map(({ type }) => type)).toEqual(["closed"]);
    expect(talk.live({ kind: "done", request: 2 }).outputs).toHaveLength(1);
    expect(talk.input({ type: "close", code: CloseCode.CLIENT_LEFT }).outputs).toHaveLength(1);
    const wrong = Talk.ready().input({
      type: "message",
      bytes: new Uint8Array([...bytes(welcome()), ...done, 7]),
    });
    expect(wrong.outputs.map(({ type }) => type)).toEqual(["transmit"]);
  });

  it("says in its Bye why, in words for a log", () => {
    const talk = Talk.ready().input({ type: "message", bytes: unhex("0700") });
    expect(talk.outputs).toEqual([
      {
        type: "transmit",
        frame: {
          kind: "bye",
          code: CloseCode.BAD_FRAME,
          retryAfterMs: 0,
          reason: expect.stringContaining("decoded"),
        },
      },
    ]);
    talk.at(2_000);
    expect(talk.outputs.at(-1)).toEqual({
      type: "closed",
      closed: { code: CloseCode.BAD_FRAME, shouldReconnect: false, retryAfterMs: 0 },
    });
  });

  it("too many unknown frames, though a single one is allowed", () => {
    const talk = Talk.ready();
    for (let count = 0; count < 1_000; count += 1) {
      talk.input({ type: "message", bytes: unhex("fb007000") });
    }
    expect(talk.code).toBeUndefined();
    expect(talk.conversation.unknownFrames).toBe(1_000);
    expect(talk.input({ type: "message", bytes: unhex("fb007000") }).code).toBe(CloseCode.TOO_MANY_UNKNOWN);
  });

  it("nothing more is read of a message that holds too many unknown frames", () => {
    const unknown = unhex("fb007000");
    const flood = new Uint8Array(1_002 * unknown.length + 3);
    for (let at = 0; at < 1_002; at += 1) {
      flood.set(unknown, at * unknown.length);
    }
    flood.set(bytes({ kind: "done", request: 1 }), 1_002 * unknown.length);
    const talk = Talk.ready().input({ type: "message", bytes: flood });
    expect(talk.outputs.map(({ type }) => type)).toEqual(["transmit"]);
    expect(talk.code).toBe(CloseCode.TOO_MANY_UNKNOWN);
  });

  it("a frame of an unknown type may come on either lane", () => {
    const talk = Talk.ready().input({ type: "bytes", lane: "bulk", bytes: unhex("fb007000") });
    expect(talk.outputs).toEqual([]);
    expect(talk.conversation.unknownFrames).toBe(1);
  });

  it("costs nothing as a datagram", () => {
    const talk = Talk.ready();
    for (const hex of ["", "ff", "2200", "51", "07" + "01"]) {
      talk.input({ type: "datagram", bytes: unhex(hex) });
    }
    talk.input({ type: "datagram", bytes: new Uint8Array(1_001) });
    expect(talk.conversation.droppedDatagrams).toBe(6);
    expect(talk.outputs).toEqual([]);
  });
});

describe("an open connection", () => {
  it("hands replies, pushes and signals on", () => {
    const talk = Talk.ready().live({ kind: "done", request: 7 });
    const typing = unhex(`51${CHAT.replaceAll("-", "")}0101`);
    talk.input({ type: "datagram", bytes: typing });
    expect(talk.outputs).toEqual([
      { type: "push", frame: { kind: "done", request: 7 } },
      { type: "push", frame: { kind: "memberTyping", chat: CHAT, member: 1, isTyping: true } },
    ]);
  });

  it("takes replies from the bulk lane, failures among them", () => {
    const talk = Talk.ready();
    const fail = { kind: "fail", request: 1, code: 101, retryAfterMs: 0, detail: "" } as const;
    const page = { kind: "page", request: 2, messages: [], hasMore: false } as const;
    talk.input({ type: "bytes", lane: "bulk", bytes: bytes(fail) });
    talk.input({ type: "bytes", lane: "bulk", bytes: bytes(page) });
    expect(talk.outputs).toEqual([fail, page].map((frame) => ({ type: "push", frame })));
  });

  it("answers a ping", () => {
    const talk = Talk.ready().live({ kind: "ping", nonce: 9 });
    expect(talk.outputs).toEqual([{ type: "transmit", frame: { kind: "pong", nonce: 9 } }]);
  });

  it("pings after a silence, and ends without a pong", () => {
    const talk = Talk.ready();
    talk.input({ type: "sent" }, 5_000);
    expect(talk.conversation.pollTimeout()).toBe(20_000);
    talk.live({ kind: "done", request: 1 }, 10_000);
    expect(talk.conversation.pollTimeout()).toBe(25_000);
    talk.at(25_000);
    expect(talk.outputs.at(-1)).toEqual({ type: "transmit", frame: { kind: "ping", nonce: 1 } });
    talk.live({ kind: "pong", nonce: 1 }, 25_040);
    expect(talk.conversation.roundTripMs).toBe(40);
    talk.at(45_000);
    expect(talk.at(54_999).code).toBeUndefined();
    expect(talk.at(55_000).code).toBe(CloseCode.IDLE);
  });

  it("does not count a pong as late that is only queued behind other frames", () => {
    const talk = Talk.ready().at(20_000);
    expect(talk.outputs.at(-1)).toMatchObject({ frame: { kind: "ping" } });
    for (const now of [24_000, 29_000, 34_000]) {
      talk.live({ kind: "done", request: 1 }, now);
      expect(talk.conversation.pollTimeout()).toBe(now + 10_000);
    }
    expect(talk.at(43_999).code).toBeUndefined();
    expect(talk.at(44_000).code).toBe(CloseCode.IDLE);
  });

  it("hears datagrams' copies and messages as signs of life, as it does the streams", () => {
    const message = Talk.ready().input(
      { type: "message", bytes: bytes({ kind: "done", request: 1 }) },
      5_000,
    );
    message.input({ type: "sent" }, 9_000);
    expect(message.conversation.pollTimeout()).toBe(25_000);
  });

  it("numbers its pings, and has one on the way at a time", () => {
    const talk = Talk.ready().input({ type: "check", deadlineMs: 3_000 });
    talk.input({ type: "check", deadlineMs: 3_000 }, 1);
    talk.live({ kind: "pong", nonce: 1 }, 2).input({ type: "check", deadlineMs: 3_000 }, 3);
    const pings = talk.outputs.map((output) => (output.type === "transmit" ? output.frame : null));
    expect(pings).toEqual([
      { kind: "ping", nonce: 1 },
      { kind: "ping", nonce: 2 },
    ]);
  });

  it("ignores a pong without a ping", () => {
    const talk = Talk.ready().live({ kind: "pong", nonce: 9 }, 5);
    expect(talk.conversation.roundTripMs).toBeNull();
    expect(talk.outputs).toEqual([]);
  });

  it("checks nothing before Welcome", () => {
    const talk = new Talk().input({ type: "check", deadlineMs: 3_000 }, 1_000);
    expect(talk.outputs).toHaveLength(1);
    expect(talk.conversation.pollTimeout()).toBe(10_000);
  });

  it("pings as often as the server asks, but not without a pause", () => {
    for (const [pingIntervalMs, expected] of [
      [7_000, 7_000],
      [0, 1_000],
    ] as const) {
      const talk = new Talk();
      talk.live({ ...welcome(), limits: { ...welcome().limits, pingIntervalMs } });
      expect(talk.conversation.pollTimeout()).toBe(expected);
      talk.at(expected - 1);
      expect(talk.outputs.at(-1)?.type).toBe("welcome");
      talk.at(expected);
      expect(talk.outputs.at(-1)).toMatchObject({ type: "transmit", frame: { kind: "ping" } });
    }
  });

  it("gives only the pong of a check the short time: later pings have the long one", () => {
    const talk = Talk.ready().input({ type: "check", deadlineMs: 3_000 }, 1_000);
    talk.live({ kind: "pong", nonce: 1 }, 1_100).at(21_000);
    expect(talk.outputs.at(-1)).toMatchObject({ type: "transmit", frame: { kind: "ping", nonce: 2 } });
    expect(talk.conversation.pollTimeout()).toBe(31_000);
    // A check makes the pong of a pending ping due earlier, and never later.
    talk
      .input({ type: "check", deadlineMs: 3_000 }, 22_000)
      .input({ type: "check", deadlineMs: 9_000 }, 22_000);
    expect(talk.conversation.pollTimeout()).toBe(24_000);
  });

  it("waits for the pong of a check only as long as the check says", () => {
    const talk = Talk.ready().input({ type: "check", deadlineMs: 3_000 }, 1_000);
    expect(talk.at(3_999).code).toBeUndefined();
    expect(talk.at(4_000).code).toBe(CloseCode.IDLE);
  });

  describe("of a page that somebody looks at", () => {
    /** Something is said at 0; the page is watched. */
    const reading = () =>
      Talk.ready().live({ kind: "done", request: 1 }).input({ type: "watch", isWatched: true });
    const isPing = (talk: Talk) => {
      const last = talk.outputs.at(-1);
      return last?.type === "transmit" && last.frame.kind === "ping";
    };

    it("finds a dead server within 6 s of its last sign of life", () => {
      const talk = reading();
      expect(isPing(talk.at(2_999))).toBe(false);
      expect(isPing(talk.at(3_000))).toBe(true);
      expect(talk.at(5_499).code).toBeUndefined();
      expect(talk.at(5_500).code).toBe(CloseCode.IDLE);
    });

    it("pings only while the server is silent, until nothing was said for 2 minutes", () => {
      const talk = reading();
      let pings = 0;
      for (let now = 100; now <= 300_000; now += 100) {
        talk.outputs.length = 0;
        talk.at(now);
        if (isPing(talk)) {
          pings += 1;
          talk.live({ kind: "pong", nonce: pings }, now);
        }
      }
      // 39 in the first two minutes, then one each 20 s.
      expect(pings).toBe(39 + 9);
    });

    it.each([
      ["nobody looks", (talk: Talk) => talk.input({ type: "watch", isWatched: false })],
      ["nothing was said for 2 minutes", (talk: Talk) => talk.live({ kind: "pong", nonce: 0 }, 117_000)],
    ])("pings as usual while %s", (_, change) => {
      expect(change(reading()).conversation.pollTimeout()).toBe(20_000);
    });

    it("pings as usual before anything was said", () => {
      const talk = Talk.ready().input({ type: "watch", isWatched: true });
      expect(talk.conversation.pollTimeout()).toBe(20_000);
      talk.input({ type: "sent" }, 1_000);
      expect(talk.conversation.pollTimeout()).toBe(3_000);
    });

    it("pings at once when it is shown again", () => {
      const talk = reading().input({ type: "watch", isWatched: false }, 100);
      talk.input({ type: "watch", isWatched: true }, 15_000);
      expect(talk.conversation.pollTimeout()).toBe(3_000);
      expect(isPing(talk.at(15_000))).toBe(true);
    });

    it("gives a slow path three round trips, and never more than any ping has", () => {
      for (const [roundTripMs, deadlineMs] of [
        [700, 2_500],
        [1_500, 4_500],
        [9_000, 10_000],
      ] as const) {
        const talk = Talk.ready().input({ type: "check", deadlineMs: 10_000 }, 0);
        talk.live({ kind: "pong", nonce: 1 }, roundTripMs);
        talk.input({ type: "watch", isWatched: true }, roundTripMs).input({ type: "sent" }, roundTripMs);
        talk.at(roundTripMs + 3_000);
        expect(talk.conversation.pollTimeout()).toBe(roundTripMs + 3_000 + deadlineMs);
      }
    });
  });

  it("waits once more for a pong that was due while the page was not running", () => {
    const talk = Talk.ready().input({ type: "check", deadlineMs: 3_000 }, 1_000);
    expect(talk.at(5_000).code).toBeUndefined();
    expect(talk.conversation.pollTimeout()).toBe(8_000);
    expect(talk.at(12_000).code).toBe(CloseCode.IDLE);
    const alive = Talk.ready().input({ type: "check", deadlineMs: 3_000 }, 1_000).at(5_000);
    alive.live({ kind: "pong", nonce: 1 }, 5_001).input({ type: "check", deadlineMs: 3_000 }, 6_000);
    expect(alive.at(10_000).code).toBeUndefined();
  });

  it("stays open while it drains", () => {
    const goAway = { kind: "goAway", retryAfterMs: 5, endpoint: null } as const;
    const talk = Talk.ready().live(goAway).live({ kind: "done", request: 1 });
    expect(talk.outputs.map((output) => output.type)).toEqual(["goAway", "push"]);
    expect(talk.conversation.isOpen).toBe(true);
  });

  it("ends as it was ended when its link goes meanwhile, and once", () => {
    const talk = Talk.ready().input({ type: "close", code: CloseCode.CLIENT_LEFT });
    talk.input({ type: "linkClosed" }).input({ type: "linkClosed" }).at(100_000);
    expect(talk.outputs.map(({ type }) => type)).toEqual(["transmit", "closed"]);
    expect(talk.outputs.at(-1)).toEqual({
      type: "closed",
      closed: { code: CloseCode.CLIENT_LEFT, shouldReconnect: false, retryAfterMs: 0 },
    });
    expect(talk.conversation.isOpen).toBe(false);
  });

  it("waits for nothing of the other side once it closes", () => {
    const talk = Talk.ready().at(20_000);
    talk.input({ type: "bytes", lane: "live", bytes: unhex("07") }, 20_001);
    talk.input({ type: "close", code: CloseCode.CLIENT_LEFT }, 29_000);
    expect(talk.conversation.pollTimeout()).toBe(31_000);
    talk.at(30_999);
    expect(talk.outputs.at(-1)?.type).toBe("transmit");
  });

  it("takes datagrams only while it is open", () => {
    const talk = new Talk().input({ type: "datagram", bytes: unhex(`51${CHAT.replaceAll("-", "")}0101`) });
    expect(talk.outputs).toHaveLength(1);
    expect(talk.conversation.droppedDatagrams).toBe(1);
  });

  it("takes datagrams up to the protocol's bound, and none that only a client sends", () => {
    const typing = `51${CHAT.replaceAll("-", "")}0101`;
    const longest = new Uint8Array(1_000);
    longest.set(unhex(typing));
    const talk = Talk.ready().input({ type: "datagram", bytes: longest });
    expect(talk.outputs).toHaveLength(1);
    talk.input({ type: "datagram", bytes: unhex(`50${CHAT.replaceAll("-", "")}01`) });
    const longer = new Uint8Array(1_001);
    longer.set(unhex(typing));
    talk.input({ type: "datagram", bytes: longer });
    expect(talk.outputs).toHaveLength(1);
    expect(talk.conversation.droppedDatagrams).toBe(2);
  });

  it("is lost with its link, and comes back", () => {
    const talk = Talk.ready();
    talk.input({ type: "bytes", lane: "live", bytes: unhex("07") }).input({ type: "linkClosed" });
    const closed = { code: null, shouldReconnect: true, retryAfterMs: 0 };
    expect(talk.outputs).toEqual([{ type: "closed", closed }]);
    expect(talk.conversation.pollTimeout()).toBeNull();
  });

  it("says Bye once, and ends after 2 s whatever comes", () => {
    const talk = Talk.ready().input({ type: "close", code: CloseCode.CLIENT_LEFT }, 100);
    talk.live({ kind: "done", request: 1 }, 200).input({ type: "close", code: CloseCode.BAD_FRAME }, 300);
    expect(talk.outputs).toHaveLength(1);
    expect(talk.conversation.pollTimeout()).toBe(2_100);
    talk.at(2_100);
    expect(talk.outputs.at(-1)).toMatchObject({ type: "closed", closed: { code: CloseCode.CLIENT_LEFT } });
  });
});

describe("any bytes", () => {
  it("never throw, and cost one Bye at most", () => {
    const piece = fc.record({
      lane: fc.constantFrom("live", "bulk", "message", "datagram"),
      bytes: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.boolean(), fc.array(piece, { maxLength: 20 }), (isReady, pieces) => {
        const talk = isReady ? Talk.ready() : new Talk();
        for (const { lane, bytes: data } of pieces) {
          if (lane === "live" || lane === "bulk") {
            talk.input({ type: "bytes", lane, bytes: data });
          } else {
            talk.input({ type: lane, bytes: data } as { type: "message"; bytes: Uint8Array });
          }
        }
        talk.input({ type: "linkClosed" });
        const ends = talk.outputs.filter((output) => output.type === "closed");
        const byes = talk.outputs.filter(
          (output) => output.type === "transmit" && output.frame.kind === "bye",
        );
        expect(ends).toHaveLength(1);
        expect(byes.length).toBeLessThanOrEqual(1);
        expect(talk.conversation.phase).toBe("closed");
      }),
    );
  });
});
