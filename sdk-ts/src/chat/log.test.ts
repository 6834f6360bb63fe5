import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { at, message } from "../testing/samples.js";
import { ChatLog } from "./log.js";
import { OUTBOX_MESSAGES_MAX, Outbox } from "./outbox.js";

function seqs(log: ChatLog): number[] {
  return log.messages.map(({ position }) => position.seq);
}

describe("the log", () => {
  it("holds each position once, in order, whatever the order of arrival", () => {
    const arrivals = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 40 });
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
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
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

  it("takes a later epoch as the true one, and what came after as void", () => {
    const log = new ChatLog(0);
    for (const seq of [1, 2, 3]) {
      log.insert(message(at(1, seq), "old"));
    }
    expect(log.insert(message(at(2, 2), "new"))).toBe("new");
    expect(log.messages.map(({ position }) => `${position.epoch}.${position.seq}`)).toEqual(["1.1", "2.2"]);
    expect(log.insert(message(at(1, 2), "old"))).toBe("void");
  });

  it("goes on from where a client begins in the middle, and takes older messages before it", () => {
    const log = new ChatLog(0, at(1, 10));
    log.insert(message(at(1, 11), "eleven"));
    expect(log.position).toEqual(at(1, 11));
    expect(log.insert(message(at(1, 3), "too old"))).toBe("known");
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
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
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
