import { describe, expect, it } from "vitest";
import { TYPING_LIFETIME_MS } from "../generated/limits.js";
import { FakeEnvironment } from "../testing/environment.js";
import { OwnTyping, TypingMembers } from "./typing.js";

describe("the members that are typing", () => {
  it("do so until their signal expires, each on its own", async () => {
    const environment = new FakeEnvironment();
    const heard: [number, boolean][] = [];
    const members = new TypingMembers(environment, (...change) => heard.push(change));
    members.signal(0, true);
    await environment.advance(1_000);
    members.signal(1, true);
    await environment.advance(TYPING_LIFETIME_MS - 1_001);
    expect([members.has(0), members.has(1)]).toEqual([true, true]);
    await environment.advance(1);
    expect([members.has(0), members.has(1)]).toEqual([false, true]);
    await environment.advance(1_000);
    expect(heard).toEqual([
      [0, true],
      [1, true],
      [0, false],
      [1, false],
    ]);
  });

  it("are reported when they begin and end, not when a signal is repeated", async () => {
    const environment = new FakeEnvironment();
    const heard: boolean[] = [];
    const members = new TypingMembers(environment, (_, isTyping) => heard.push(isTyping));
    members.signal(1, false);
    members.signal(1, true);
    members.signal(1, true);
    expect(environment.timers).toBe(1);
    members.signal(1, false);
    expect(heard).toEqual([true, false]);
    expect(environment.timers).toBe(0);
  });

  it("are none after they were cleared, which is reported", () => {
    const environment = new FakeEnvironment();
    const heard: [number, boolean][] = [];
    const members = new TypingMembers(environment, (...change) => heard.push(change));
    members.signal(0, true);
    members.signal(1, true);
    members.clear();
    expect(heard.slice(2)).toEqual([
      [0, false],
      [1, false],
    ]);
    expect(environment.timers).toBe(0);
  });
});

describe("the typing of the user", () => {
  it("is worth a signal at its beginning, after half the lifetime of the last signal, and at its end", () => {
    const own = new OwnTyping();
    expect(own.next(false, 0)).toBe(false);
    expect(own.next(true, 0)).toBe(true);
    expect(own.next(true, TYPING_LIFETIME_MS / 2 - 1)).toBe(false);
    expect(own.next(true, TYPING_LIFETIME_MS / 2)).toBe(true);
    expect(own.next(true, TYPING_LIFETIME_MS / 2 + 1)).toBe(false);
    expect(own.next(false, TYPING_LIFETIME_MS)).toBe(true);
    expect(own.next(false, TYPING_LIFETIME_MS)).toBe(false);
    expect(own.next(true, TYPING_LIFETIME_MS)).toBe(true);
  });

  it("begins again after a message", () => {
    const own = new OwnTyping();
    own.next(true, 0);
    own.reset();
    expect(own.next(false, 1)).toBe(false);
    expect(own.next(true, 2)).toBe(true);
  });
});
