import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "../generated/chat.js";
import { comparePosition } from "../generated/position.js";
import { at, message } from "../testing/samples.js";
import { ChatLog } from "./log.js";
import type { Unacked } from "./outbox.js";
import { Rows } from "./rows.js";
import type { ChatMessage, MessageStatus } from "./view.js";

const YOU = 0;

/** A log with its rows, and the messages without an ack. */
class Shown {
  readonly log: ChatLog;
  readonly rows: Rows;
  readonly pending = new Map<string, Unacked>();
  partner = { delivered: at(0, 0), read: at(0, 0) };

  constructor() {
    this.rows = new Rows(YOU, this.partner, (seq) => this.log.indexOf(seq));
    this.log = new ChatLog(YOU, at(0, 0), this.rows);
  }

  write(id: string): void {
    const unacked = {
      clientMessageId: id,
      body: { kind: "text", text: id },
      replyTo: null,
      atMs: 1,
    } as const;
    this.pending.set(id, unacked);
    this.rows.wrote(unacked);
  }

  settle(id: string): void {
    this.pending.delete(id);
    this.rows.settled(id);
  }

  /** The list as it is defined, made from scratch. */
  get expected(): ChatMessage[] {
    const held = this.log.messages.map((one) => this.#show(one));
    const ids = new Set(held.filter(({ isMine }) => isMine).map(({ id }) => id));
    const pending = [...this.pending.values()].filter(({ clientMessageId }) => !ids.has(clientMessageId));
    return [
      ...held,
      ...pending.map(({ clientMessageId: id, body, replyTo, atMs }) => {
        const mine = { member: YOU, isMine: true, status: "pending" } as const;
        return { id, position: null, ...mine, body, atMs, replyTo };
      }),
    ];
  }

  #show({ position, member, clientMessageId: id, atMs, replyTo, body }: Message): ChatMessage {
    const isMine = member === YOU;
    const status = isMine ? this.#status(id, position) : "acked";
    return { id, position, member, isMine, body, atMs, replyTo, status };
  }

  #status(id: string, position: Message["position"]): MessageStatus {
    const reached = (cursor: Message["position"]) => comparePosition(cursor, position) >= 0;
    if (reached(this.partner.read)) {
      return "read";
    }
    return reached(this.partner.delivered) ? "delivered" : this.pending.has(id) ? "pending" : "acked";
  }
}

const seq = fc.integer({ min: 1, max: 15 });
const epoch = fc.constantFrom(1, 1, 1, 1, 2);
const place = fc.tuple(epoch, seq).map(([e, s]) => at(e, s));
/** Mostly messages that come, near their order: a log that is empty most of the time would show little. */
const act = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant("next" as const), skip: fc.nat(1), member: fc.nat(1) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("insert" as const), place, member: fc.nat(1) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("write" as const), seq }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("settle" as const), seq }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("delete" as const), place }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("resume" as const), place }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant("partner" as const), delivered: place, read: place }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("older" as const), place }) },
);
type Act = typeof act extends fc.Arbitrary<infer One> ? One : never;

/** The id of the message at a seq: one that was written here has it before it is in the log. */
function idAt(at: number): string {
  return `00000000-0000-7000-8000-${at.toString(16).padStart(12, "0")}`;
}

function perform(shown: Shown, one: Act): void {
  switch (one.type) {
    case "next": {
      const last = shown.log.messages.at(-1)?.position ?? at(1, shown.log.base.seq);
      const next = at(last.epoch, last.seq + 1 + one.skip);
      shown.log.insert(message(next, "x", { member: one.member }));
      break;
    }
    case "insert":
      shown.log.insert(message(one.place, "x", { member: one.member }));
      break;
    case "write":
      if (!shown.rows.list.some(({ id }) => id === idAt(one.seq))) {
        shown.write(idAt(one.seq));
      }
      break;
    case "settle":
      shown.settle(idAt(one.seq));
      break;
    case "delete":
      shown.log.delete(one.place);
      break;
    case "resume":
      shown.log.resume(one.place);
      break;
    case "partner":
      shown.partner = { delivered: one.delivered, read: one.read };
      shown.rows.partnerMoved(shown.partner);
      break;
    case "older":
      shown.log.prepend([message(one.place, "older")], false);
      break;
  }
}

describe("the rows", () => {
  it("are those of the log and the outbox after any changes, and the same objects unless they differ", () => {
    fc.assert(
      fc.property(fc.array(act, { minLength: 10, maxLength: 40, size: "max" }), (acts) => {
        const shown = new Shown();
        for (const one of acts) {
          const before = shown.rows.list;
          perform(shown, one);
          const { list } = shown.rows;
          expect(list).toEqual(shown.expected);
          expect(shown.rows.list).toBe(list);
          const known = new Map(before.map((row) => [JSON.stringify(row), row]));
          const same = list.filter((row) => known.has(JSON.stringify(row)));
          expect(same.every((row) => known.get(JSON.stringify(row)) === row)).toBe(true);
        }
        for (let one = 0; one <= 16; one += 1) {
          const mine = shown.rows.list.find(({ id, isMine }) => isMine && id === idAt(one));
          expect(shown.rows.status(idAt(one))).toBe(mine?.status ?? "pending");
          const there = shown.rows.list.find(({ position }) => position?.seq === one);
          expect(shown.rows.at(one)).toBe(there ?? null);
        }
      }),
    );
  });

  it("that were handed out are not changed any more", () => {
    const shown = new Shown();
    shown.log.insert(message(at(1, 1), "one"));
    const { list } = shown.rows;
    shown.log.insert(message(at(1, 2), "two"));
    expect(list).toHaveLength(1);
    expect(shown.rows.list).toHaveLength(2);
  });

  it("of the user keep their status when a message of the partner under the same id is void", () => {
    const shown = new Shown();
    shown.log.insert(message(at(1, 1), "one", { member: YOU }));
    shown.log.insert(message(at(1, 2), "two", { clientMessageId: idAt(1) }));
    shown.log.resume(at(1, 1));
    expect(shown.rows.status(idAt(1))).toBe("acked");
  });

  it("of messages that were given up end", () => {
    const shown = new Shown();
    shown.write(idAt(1));
    shown.write(idAt(2));
    shown.log.insert(message(at(1, 1), "one", { member: YOU }));
    expect(shown.rows.list.map(({ status }) => status)).toEqual(["pending", "pending"]);
    shown.rows.settled(idAt(1));
    shown.rows.settled(idAt(2));
    expect(shown.rows.list.map(({ status }) => status)).toEqual(["acked"]);
  });
});
