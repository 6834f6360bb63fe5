import { describe, expect, it } from "vitest";
import { Backoff } from "./backoff.js";

describe("the backoff", () => {
  it("doubles the span of the wait with each failure, from half a second to 30 s", () => {
    const backoff = new Backoff();
    const spans = Array.from({ length: 9 }, () => backoff.next(0, 1));
    expect(spans).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    for (let failure = 0; failure < 2_000; failure += 1) {
      backoff.next(0, 1);
    }
    expect(backoff.next(0, 1)).toBe(30_000);
  });

  it("draws the wait from the whole span", () => {
    expect(new Backoff().next(0, 0)).toBe(0);
    expect(new Backoff().next(0, 0.5)).toBe(250);
  });

  it("adds the time that the server asks for", () => {
    expect(new Backoff().next(0, 0.5, 7_000)).toBe(7_250);
  });

  it.each([
    ["a connection that lived for 5 s was a success", 5_000, 500],
    ["one that was lost before was none: a server that accepts and drops is not stormed", 4_999, 2_000],
  ])("%s", (_, livedMs, span) => {
    const backoff = new Backoff();
    backoff.next(0, 1);
    backoff.next(0, 1);
    backoff.opened(10_000);
    expect(backoff.next(10_000 + livedMs, 1)).toBe(span);
  });

  it("takes a connection for a success once, not again for the failures after it", () => {
    const backoff = new Backoff();
    backoff.opened(0);
    expect(backoff.next(10_000, 1)).toBe(500);
    expect(backoff.next(20_000, 1)).toBe(1_000);
  });
});
