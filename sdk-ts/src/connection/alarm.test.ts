import { describe, expect, it } from "vitest";
import { FakeEnvironment } from "../testing/environment.js";
import { Alarm } from "./alarm.js";

const START = new FakeEnvironment().now();

describe("an alarm", () => {
  it("rings each deadline when it is due, in their order", async () => {
    const environment = new FakeEnvironment();
    const alarm = new Alarm(environment);
    const rung: [string, number][] = [];
    const deadline = (name: string) =>
      alarm.deadline((now) => {
        rung.push([name, now - START]);
        one.set(name === "one" ? null : one.dueAtMs);
        two.set(name === "two" ? null : two.dueAtMs);
      });
    const one = deadline("one");
    const two = deadline("two");
    one.set(START + 300);
    two.set(START + 100);
    await environment.advance(1_000);
    expect(rung).toEqual([
      ["two", 100],
      ["one", 300],
    ]);
    expect(environment.timers).toBe(0);
  });

  it("has one timer for all deadlines", async () => {
    const environment = new FakeEnvironment();
    const alarm = new Alarm(environment);
    for (const dueAfterMs of [500, 400, 300, 600]) {
      alarm.deadline(() => undefined).set(START + dueAfterMs);
      expect(environment.timers).toBe(1);
    }
  });

  it("sets its timer again only to ring earlier", async () => {
    const environment = new FakeEnvironment();
    const rung: number[] = [];
    const deadline = new Alarm(environment).deadline((now) => {
      rung.push(now - START);
      deadline.set(null);
    });
    deadline.set(START + 100);
    for (let later = 101; later <= 200; later += 1) {
      deadline.set(START + later);
    }
    expect(environment.scheduled).toBe(1);
    await environment.advance(199);
    expect(rung).toEqual([]);
    await environment.advance(1);
    expect(rung).toEqual([200]);
    expect(environment.scheduled).toBe(2);
    deadline.set(START + 1_000);
    deadline.set(START + 500);
    expect(environment.scheduled).toBe(4);
    expect(environment.timers).toBe(1);
  });

  it("rings at once for an overdue deadline", async () => {
    const environment = new FakeEnvironment();
    const rung: number[] = [];
    const deadline = new Alarm(environment).deadline((now) => {
      rung.push(now - START);
      deadline.set(null);
    });
    deadline.set(START - 100);
    await environment.advance(0);
    expect(rung).toEqual([0]);
  });

  it("keeps working after a deadline was cancelled, or its action failed", async () => {
    const environment = new FakeEnvironment();
    const alarm = new Alarm(environment);
    const rung: string[] = [];
    const failing = alarm.deadline(() => {
      failing.set(null);
      throw new Error("a listener's");
    });
    const other = alarm.deadline(() => {
      rung.push("other");
      other.set(null);
    });
    const none = alarm.deadline(() => void rung.push("none"));
    none.set(START + 50);
    none.set(null);
    expect(environment.timers).toBe(0);
    failing.set(START + 100);
    other.set(START + 200);
    await expect(environment.advance(100)).rejects.toThrow("a listener's");
    await environment.advance(100);
    expect(rung).toEqual(["other"]);
    expect(environment.timers).toBe(0);
  });

  it("does not ring for a deadline that another one has just cancelled", async () => {
    const environment = new FakeEnvironment();
    const alarm = new Alarm(environment);
    const rung: string[] = [];
    const first = alarm.deadline(() => {
      rung.push("first");
      first.set(null);
      second.set(null);
    });
    const second = alarm.deadline(() => void rung.push("second"));
    first.set(START + 10);
    second.set(START + 10);
    await environment.advance(100);
    expect(rung).toEqual(["first"]);
    // The first timer, and none while it rang.
    expect(environment.scheduled).toBe(1);
  });
});
