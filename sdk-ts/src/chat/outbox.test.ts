import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UNACKED_SENDS_MAX } from "../generated/limits.js";
import { OUTBOX_MESSAGES_MAX, Outbox } from "./outbox.js";

function unacked(id: number) {
  return { clientMessageId: `${id}`, body: { kind: "text", text: "x" } as const, replyTo: null, atMs: 0 };
}

describe("the outbox", () => {
  it("sends in order, each once per link, until it is acked", () => {
    const step = fc.oneof(
      fc.constant("push" as const),
      fc.constant("next" as const),
      fc.constant("ack" as const),
      fc.constant("lost" as const),
      fc.constant("postpone" as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const outbox = new Outbox();
        let now = 0;
        let pushed = 0;
        let sent: number[] = [];
        const open: number[] = [];
        for (const one of steps) {
          now += 1;
          if (one === "push") {
            outbox.push(unacked(pushed));
            open.push(pushed);
            pushed += 1;
          } else if (one === "next") {
            const next = outbox.next(now);
            if (next !== null) {
              expect(sent).not.toContain(Number(next.clientMessageId));
              sent.push(Number(next.clientMessageId));
            }
          } else if (one === "lost") {
            outbox.linkLost();
            sent = [];
          } else if (sent[0] !== undefined) {
            const id = sent.shift();
            if (one === "ack") {
              outbox.remove(`${id}`);
              open.splice(open.indexOf(Number(id)), 1);
            } else {
              outbox.postpone(`${id}`, now + 3);
              expect(outbox.next(now)).toBeNull();
            }
          }
          expect(outbox.messages.map(({ clientMessageId }) => Number(clientMessageId))).toEqual(open);
          expect(outbox.inFlight).toBe(sent.length);
        }
        now += 10;
        const rest = open.filter((id) => !sent.includes(id));
        for (const id of rest) {
          expect(outbox.next(now)?.clientMessageId).toBe(`${id}`);
        }
        expect(outbox.next(now)).toBeNull();
      }),
    );
  });

  it("is bounded", () => {
    const outbox = new Outbox();
    for (let id = 0; id < OUTBOX_MESSAGES_MAX; id += 1) {
      outbox.push(unacked(id));
    }
    expect(() => outbox.push(unacked(-1))).toThrow(/wait/);
    expect(outbox.drain()).toHaveLength(OUTBOX_MESSAGES_MAX);
    expect(outbox.messages).toHaveLength(0);
  });
});

describe("a message that the server could not take", () => {
  it("waits until its time, and goes before what was written after it", () => {
    const outbox = new Outbox();
    for (const id of [1, 2, 3]) {
      outbox.push(unacked(id));
    }
    expect([outbox.next(0), outbox.next(0)].map((one) => one?.clientMessageId)).toEqual(["1", "2"]);
    outbox.postpone("1", 100);
    expect(outbox.inFlight).toBe(1);
    expect(outbox.next(99)).toBeNull();
    expect(outbox.next(100)?.clientMessageId).toBe("1");
    expect(outbox.next(100)?.clientMessageId).toBe("3");
    expect(outbox.next(100)).toBeNull();
  });

  it("does not have others wait less than an earlier one has them wait", () => {
    const outbox = new Outbox();
    outbox.push(unacked(1));
    outbox.push(unacked(2));
    outbox.next(0);
    outbox.next(0);
    outbox.postpone("1", 100);
    outbox.postpone("2", 50);
    expect(outbox.next(99)).toBeNull();
    expect(outbox.next(100)?.clientMessageId).toBe("1");
  });

  it("waits no longer over a new link", () => {
    const outbox = new Outbox();
    outbox.push(unacked(1));
    outbox.next(0);
    outbox.postpone("1", 100);
    outbox.linkLost();
    expect(outbox.next(1)?.clientMessageId).toBe("1");
  });
});

describe("what is in flight", () => {
  it("is bounded by what the server takes", () => {
    const outbox = new Outbox();
    for (let id = 0; id < OUTBOX_MESSAGES_MAX; id += 1) {
      outbox.push(unacked(id));
    }
    for (let id = 0; id < UNACKED_SENDS_MAX; id += 1) {
      expect(outbox.next(0)).not.toBeNull();
    }
    expect(outbox.next(0)).toBeNull();
    expect(outbox.remove("0")).toBe(true);
    expect(outbox.remove("0")).toBe(false);
    expect(outbox.next(0)?.clientMessageId).toBe(`${UNACKED_SENDS_MAX}`);
  });

  it("is nothing after it was drained", () => {
    const outbox = new Outbox();
    outbox.push(unacked(1));
    outbox.push(unacked(2));
    outbox.next(0);
    expect(outbox.drain().map(({ clientMessageId }) => clientMessageId)).toEqual(["1", "2"]);
    expect([outbox.inFlight, outbox.next(0)]).toEqual([0, null]);
  });
});
