import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { at, message } from "../testing/samples.js";
import { ChatLog } from "./log.js";

function seqs(log: ChatLog): number[] {
  return log.messages.map(({ position }) => position.seq);
}

describe("the log", () => {
  it("holds each position once, in order, whatever the order of arrival", () => {
    const arrivals = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 40, size: "max" });
    fc.assert(
      fc.property(arrivals, (order) => {
        const log = new ChatLog(0);
        for (const seq of order) {
          log.insert(message(at(1, seq), `${seq}`));
        }
        const held = [...new Set(order)].sort((a, b) => a - b);
        expect(seqs(log)).toEqual(held);
        const gapless = held.filter((seq, index) => seq === index + 1).length;
        expect(log.position.seq).toBe(gapless);
        expect(log.missing).toBe((held.at(-1) ?? 0) - held.length);
      }),
    );
  });

  /**
   * A server that loses its newest messages at restarts, and a client that loses its link: after each
   * resume the client holds exactly what the server has.
   */
  it("equals the server's log after any restarts, losses and resumes", () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant("append" as const), isHeard: fc.boolean() }),
      fc.record({ type: fc.constant("restart" as const), lost: fc.nat(4) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: "max" }), (steps) => {
        const server: { epoch: number; seq: number }[] = [];
        const log = new ChatLog(0);
        let epoch = 1;
        let resumeLimit = Number.POSITIVE_INFINITY;
        for (const one of steps) {
          if (one.type === "append") {
            const position = { epoch, seq: server.length + 1 };
            server.push(position);
            if (one.isHeard) {
              log.insert(message(position, "x"));
            }
          } else {
            server.length = Math.max(0, server.length - one.lost);
            resumeLimit = server.length;
            epoch += 1;
            const seq = Math.min(log.position.seq, resumeLimit);
            log.resume(server[seq - 1] ?? at(0, 0));
            for (const position of server.slice(seq)) {
              log.insert(message(position, "x"));
            }
            expect(log.messages.map(({ position }) => position)).toEqual(server);
            expect(log.position).toEqual(server.at(-1) ?? at(0, 0));
            expect(log.missing).toBe(0);
          }
        }
      }),
    );
  });

  it("prefers a later epoch, and drops the messages after it as void", () => {
    const log = new ChatLog(0);
    for (const seq of [1, 2, 3]) {
      log.insert(message(at(1, seq), "old"));
    }
    expect(log.insert(message(at(2, 2), "new"))).toBe("new");
    expect(log.messages.map(({ position }) => `${position.epoch}.${position.seq}`)).toEqual(["1.1", "2.2"]);
    expect(log.insert(message(at(1, 2), "old"))).toBe("void");
    expect(log.insert(message(at(2, 2), "again"))).toBe("known");
  });

  it("continues from the middle of a chat, and takes older messages before it", () => {
    const log = new ChatLog(0, at(1, 10));
    log.insert(message(at(1, 11), "eleven"));
    expect(log.position).toEqual(at(1, 11));
    expect(log.insert(message(at(1, 3), "too old"))).toBe("known");
    expect(log.insert(message(at(1, 10), "too old"))).toBe("known");
    log.prepend([message(at(1, 9), "nine"), message(at(1, 10), "ten")], false);
    expect(seqs(log)).toEqual([9, 10, 11]);
    expect(log.base).toEqual(at(1, 8));
    log.prepend([message(at(1, 8), "eight")], true);
    expect(log.base.seq).toBe(0);
  });

  it("keeps a deletion for a message that comes later", () => {
    const log = new ChatLog(0);
    log.delete(at(1, 1));
    log.insert(message(at(1, 1), "gone"));
    expect(log.messages[0]?.body.kind).toBe("deleted");
    log.delete(at(1, 2));
    log.insert(message(at(2, 2), "another one of that seq"));
    expect(log.messages[1]?.body.kind).toBe("text");
  });
});

describe("a log that continues elsewhere", () => {
  it("that is empty begins where the server resumes: older messages are history", () => {
    const log = new ChatLog(0);
    log.resume(at(1, 5));
    expect(log.base).toEqual(at(1, 5));
    expect(log.position).toEqual(at(1, 5));
    log.insert(message(at(1, 6), "six"));
    expect([log.position, log.missing]).toEqual([at(1, 6), 0]);
  });

  it("that holds messages keeps its beginning", () => {
    const log = new ChatLog(0, at(1, 2));
    log.insert(message(at(1, 3), "three"));
    log.resume(at(1, 5));
    expect([log.base, log.position, log.missing]).toEqual([at(1, 2), at(1, 5), 0]);
    log.insert(message(at(1, 6), "six"));
    expect(seqs(log)).toEqual([3, 6]);
    expect(log.position).toEqual(at(1, 6));
  });

  it("drops messages that the server no longer has, down to its own beginning", () => {
    const log = new ChatLog(0, at(1, 4));
    for (const seq of [5, 6, 7]) {
      log.insert(message(at(1, seq), "x"));
    }
    log.truncate(6);
    expect([seqs(log), log.position, log.missing, log.base]).toEqual([[5, 6], at(1, 6), 0, at(1, 4)]);
    log.truncate(2);
    expect([seqs(log), log.position, log.base]).toEqual([[], at(1, 2), at(1, 2)]);
  });

  it("drops messages above a hole without moving", () => {
    const log = new ChatLog(0);
    for (const seq of [1, 2, 5]) {
      log.insert(message(at(1, seq), "x"));
    }
    expect(log.missing).toBe(2);
    log.truncate(4);
    expect([seqs(log), log.position, log.missing]).toEqual([[1, 2], at(1, 2), 2]);
  });

  it("keeps its position when nothing above it is dropped", () => {
    const log = new ChatLog(0);
    log.insert(message(at(1, 1), "one"));
    log.resume(at(2, 5));
    log.truncate(5);
    expect([log.position, log.base, log.missing]).toEqual([at(2, 5), at(0, 0), 0]);
  });

  it("takes a message below its position that it had given up", () => {
    const log = new ChatLog(0);
    log.insert(message(at(1, 1), "x"));
    log.resume(at(1, 4));
    expect(log.insert(message(at(1, 3), "late"))).toBe("new");
    expect([seqs(log), log.position, log.missing]).toEqual([[1, 3], at(1, 4), 0]);
    log.insert(message(at(1, 5), "five"));
    expect(log.position).toEqual(at(1, 5));
  });

  it("skips a hole to the message behind it, and does nothing when there is none", () => {
    const log = new ChatLog(0);
    for (const seq of [1, 4, 5, 8]) {
      log.insert(message(at(1, seq), "x"));
    }
    log.skipHole();
    expect([log.position, log.missing]).toEqual([at(1, 5), 2]);
    log.skipHole();
    expect([log.position, log.missing]).toEqual([at(1, 8), 0]);
    log.skipHole();
    expect(log.position).toEqual(at(1, 8));
  });
});

describe("older messages", () => {
  it("are taken once, and only those before the beginning", () => {
    const log = new ChatLog(0, at(1, 5));
    log.insert(message(at(1, 6), "six"));
    log.prepend(
      [message(at(1, 4), "four"), message(at(1, 5), "five"), message(at(1, 7), "not older")],
      false,
    );
    expect([seqs(log), log.base]).toEqual([[4, 5, 6], at(1, 3)]);
    log.prepend([message(at(1, 5), "again")], false);
    expect([seqs(log), log.base]).toEqual([[4, 5, 6], at(1, 3)]);
    expect(log.messages[1]?.body).toEqual({ kind: "text", text: "five" });
  });

  it("are taken once when a page repeats them, and move the beginning one by one", () => {
    const log = new ChatLog(0, at(1, 5));
    log.prepend([message(at(1, 5), "five"), message(at(1, 5), "again")], false);
    expect([seqs(log), log.base]).toEqual([[5], at(1, 4)]);
    expect(log.messages[0]?.body).toEqual({ kind: "text", text: "five" });
  });

  it("do not move the beginning when there are none, or when they are newer", () => {
    const log = new ChatLog(0, at(1, 5));
    log.prepend([], false);
    expect(log.base).toEqual(at(1, 5));
    log.prepend([message(at(1, 9), "newer")], false);
    expect(log.base).toEqual(at(1, 5));
    log.prepend([], true);
    expect(log.base).toEqual(at(0, 0));
  });

  it("move neither the position nor what is missing", () => {
    const log = new ChatLog(0, at(1, 5));
    log.insert(message(at(1, 8), "eight"));
    log.prepend([message(at(1, 5), "five")], false);
    expect([log.position, log.missing]).toEqual([at(1, 5), 2]);
    log.insert(message(at(1, 6), "six"));
    expect([log.position, log.missing]).toEqual([at(1, 6), 1]);
  });
});

describe("a deletion", () => {
  it("is told once, for the message of its epoch", () => {
    const log = new ChatLog(0);
    log.insert(message(at(2, 1), "one"));
    expect(log.delete(at(1, 1))).toBe(false);
    expect(log.messages[0]?.body.kind).toBe("text");
    expect(log.delete(at(2, 1))).toBe(true);
    expect(log.delete(at(2, 1))).toBe(false);
    expect(log.delete(at(2, 7))).toBe(false);
    expect(log.messages).toHaveLength(1);
    expect(log.messages[0]?.body).toEqual({ kind: "deleted" });
  });
});

describe("where a seq stands", () => {
  it("is found with and without holes", () => {
    const held = fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 20, size: "max" });
    fc.assert(
      fc.property(held, fc.integer({ min: 0, max: 32 }), (order, seq) => {
        const log = new ChatLog(0);
        for (const one of order) {
          log.insert(message(at(1, one), "x"));
        }
        expect(log.indexOf(seq)).toBe(order.filter((one) => one < seq).length);
      }),
    );
  });
});

describe("the newest message of another member", () => {
  it("is the newest below the first hole, whatever happens", () => {
    const step = fc.oneof(
      fc.record({
        type: fc.constant("insert" as const),
        seq: fc.integer({ min: 1, max: 9 }),
        member: fc.nat(1),
      }),
      fc.record({ type: fc.constant("truncate" as const), seq: fc.nat(9) }),
      fc.record({ type: fc.constant("resume" as const), seq: fc.nat(9) }),
      fc.record({ type: fc.constant("skip" as const) }),
      fc.record({
        type: fc.constant("older" as const),
        seq: fc.integer({ min: 1, max: 9 }),
        member: fc.nat(1),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: "max" }), fc.nat(3), (steps, base) => {
        const log = new ChatLog(0, at(1, base));
        for (const one of steps) {
          if (one.type === "insert") {
            log.insert(message(at(1, one.seq), "x", { member: one.member }));
          } else if (one.type === "older") {
            log.prepend([message(at(1, one.seq), "x", { member: one.member })], false);
          } else if (one.type === "skip") {
            log.skipHole();
          } else if (one.type === "resume") {
            log.resume(at(1, one.seq));
          } else {
            log.truncate(one.seq);
          }
          const theirs = log.messages.filter(
            ({ member, position }) => member === 1 && position.seq <= log.position.seq,
          );
          expect(log.newestTheirs).toBe(theirs.at(-1)?.position.seq ?? 0);
          const above = log.messages.filter(({ position }) => position.seq > log.position.seq);
          const newest = log.position.seq + log.missing + above.length;
          expect(newest).toBeGreaterThanOrEqual(above.at(-1)?.position.seq ?? log.position.seq);
          expect(seqs(log)).toEqual([...new Set(seqs(log))].sort((a, b) => a - b));
        }
      }),
    );
  });
});
