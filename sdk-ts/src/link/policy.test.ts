import { describe, expect, it } from "vitest";
import { NetworkError } from "../error.js";
import { FakeEnvironment } from "../testing/environment.js";
import { underPolicy } from "./policy.js";

const URL = "wss://chat.example:8443/v1/websocket";

/** A page whose policy the test lets refuse addresses. */
class Page extends FakeEnvironment {
  readonly listeners = new Set<(url: string) => void>();

  onPolicyViolation(listener: (url: string) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  refuse(url: string): void {
    for (const listener of this.listeners) {
      listener(url);
    }
  }
}

const down = new NetworkError("down");
const failing = () => Promise.reject(down);

describe("an attempt under a policy", () => {
  it("returns what it returns, and leaves nothing behind", async () => {
    const page = new Page();
    expect(await underPolicy(page, URL, () => Promise.resolve(7))).toBe(7);
    await expect(underPolicy(new FakeEnvironment(), URL, failing)).rejects.toBe(down);
    expect([page.listeners.size, page.timers]).toEqual([0, 0]);
  });

  it("says what to allow, whether the violation comes before the failure or after it", async () => {
    for (const isBefore of [true, false]) {
      const page = new Page();
      const attempt = async () => {
        if (isBefore) {
          page.refuse("wss://chat.example:8443/v1/websocket");
        }
        throw down;
      };
      const failed = underPolicy(page, URL, attempt).catch((error: unknown) => error);
      await page.advance(20);
      expect(page.timers).toBe(isBefore ? 0 : 1); // Nothing is waited for that has come already.
      page.refuse("wss://chat.example:8443");
      const error = await failed;
      expect(error).toBeInstanceOf(NetworkError);
      expect(error).toMatchObject({ isTemporary: false, cause: down });
      expect((error as Error).message).toBe(
        "wss://chat.example:8443 was refused by this page's Content-Security-Policy: " +
          "add wss://chat.example:8443 to connect-src.",
      );
      expect([page.listeners.size, page.timers]).toEqual([0, 0]);
    }
  });

  it("fails as it failed when nothing was refused, or something else", async () => {
    const page = new Page();
    const failed = expect(underPolicy(page, URL, failing)).rejects.toBe(down);
    await page.advance(20);
    page.refuse("https://elsewhere.example/");
    page.refuse("inline");
    await page.advance(30);
    await failed;
    expect(page.listeners.size).toBe(0);
  });
});
