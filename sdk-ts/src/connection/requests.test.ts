import { describe, expect, it } from "vitest";
import type { NoWrongError } from "../error.js";
import { ErrorCode } from "../generated/code.js";
import { REPLY_DEADLINE_MS } from "../generated/limits.js";
import { FakeEnvironment } from "../testing/environment.js";
import { Alarm } from "./alarm.js";
import { type Reply, Requests } from "./requests.js";

/** Requests, and what became of each. */
class Asked {
  readonly environment = new FakeEnvironment();
  readonly requests: Requests;
  readonly settled: [number, string][] = [];
  /** When the server was suspected, in milliseconds from the start. */
  readonly late: number[] = [];
  readonly #start = this.environment.now();

  constructor() {
    const late = () => void this.late.push(this.environment.now() - this.#start);
    this.requests = new Requests(this.environment, new Alarm(this.environment), late);
  }

  open(): number {
    const id = this.requests.open((reply: Reply | null, error: NoWrongError | null) => {
      this.settled.push([id, reply?.kind ?? error?.codeName ?? ""]);
    });
    return id;
  }
}

describe("requests", () => {
  it("have ids from 1, and are settled by the reply with the same id, once", () => {
    const asked = new Asked();
    expect([asked.open(), asked.open(), asked.open()]).toEqual([1, 2, 3]);
    const fail = {
      kind: "fail",
      request: 3,
      code: ErrorCode.RATE_LIMITED,
      retryAfterMs: 1,
      detail: "",
    } as const;
    expect(asked.requests.handle({ kind: "done", request: 2 })).toBe(true);
    expect(asked.requests.handle({ kind: "done", request: 2 })).toBe(true);
    expect(asked.requests.handle(fail)).toBe(true);
    expect(asked.requests.handle({ kind: "pong", nonce: 1 })).toBe(false);
    expect(asked.settled).toEqual([
      [2, "done"],
      [3, "RATE_LIMITED"],
    ]);
  });

  it("are bounded", () => {
    const asked = new Asked();
    for (let count = 0; count < 256; count += 1) {
      asked.open();
    }
    const full = { codeName: "QUEUE_FULL", message: "Too many requests wait for their replies." };
    expect(() => asked.open()).toThrow(expect.objectContaining(full));
    asked.requests.handle({ kind: "done", request: 7 });
    expect(asked.open()).toBe(257);
  });

  it("make one suspect the server after 4 s, each once, and fail after 15 s, each in its time", async () => {
    const asked = new Asked();
    asked.open();
    await asked.environment.advance(1_000);
    asked.open();
    await asked.environment.advance(20_000);
    expect(asked.late).toEqual([4_000, 5_000]);
    expect(asked.settled).toEqual([
      [1, "TIMEOUT"],
      [2, "TIMEOUT"],
    ]);
    expect(asked.environment.timers).toBe(0);
  });

  it("fail at their deadline, not before", async () => {
    const asked = new Asked();
    asked.open();
    await asked.environment.advance(REPLY_DEADLINE_MS - 1);
    expect(asked.settled).toEqual([]);
    await asked.environment.advance(1);
    expect(asked.settled).toEqual([[1, "TIMEOUT"]]);
  });

  it("have deadlines of their own after others have failed", async () => {
    const asked = new Asked();
    asked.open();
    await asked.environment.advance(REPLY_DEADLINE_MS);
    asked.open();
    await asked.environment.advance(REPLY_DEADLINE_MS);
    expect(asked.settled).toEqual([
      [1, "TIMEOUT"],
      [2, "TIMEOUT"],
    ]);
    expect(asked.late).toEqual([4_000, 19_000]);
  });

  it("share one timer, which is not set again for each", async () => {
    const asked = new Asked();
    for (let count = 1; count <= 100; count += 1) {
      asked.open();
      await asked.environment.advance(10);
      expect(asked.environment.timers).toBe(1);
    }
    expect(asked.environment.scheduled).toBe(1);
    for (let id = 1; id <= 100; id += 1) {
      asked.requests.handle({ kind: "done", request: id });
    }
    expect(asked.environment.timers).toBe(0);
    expect(asked.late).toEqual([]);
  });

  it("are not suspected or failed once they have their reply", async () => {
    const asked = new Asked();
    const first = asked.open();
    await asked.environment.advance(3_000);
    asked.open();
    asked.requests.handle({ kind: "done", request: first });
    await asked.environment.advance(3_999);
    expect(asked.late).toEqual([]);
    await asked.environment.advance(1);
    expect(asked.late).toEqual([7_000]);
  });

  it("fail all at once with their link", () => {
    const asked = new Asked();
    asked.open();
    asked.open();
    asked.requests.lose();
    expect(asked.settled).toEqual([
      [1, "LINK_LOST"],
      [2, "LINK_LOST"],
    ]);
    expect(asked.environment.timers).toBe(0);
  });

  it("that a failing one takes down with it fail for its reason, and are not suspected", async () => {
    const asked = new Asked();
    asked.requests.open(() => asked.requests.lose());
    await asked.environment.advance(REPLY_DEADLINE_MS - 4_000);
    asked.late.length = 0;
    asked.open();
    await asked.environment.advance(4_000);
    expect(asked.settled).toEqual([[2, "LINK_LOST"]]);
    expect(asked.late).toEqual([]);
  });
});
