import { describe, expect, it, vi } from "vitest";
import { FakeEnvironment } from "../testing/environment.js";
import { memoryStorage, type StoredTokens, Tokens, webTokenStorage } from "./tokens.js";

function tokens(count: number, accessExpiresAtMs: number): StoredTokens {
  return { accessToken: `access-${count}`, accessExpiresAtMs, refreshToken: `refresh-${count}` };
}

/** The `Storage` of a browser, in memory. */
class FakeStorage {
  readonly items = new Map<string, string>();
  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }
  removeItem(key: string): void {
    this.items.delete(key);
  }
}

describe("a storage in memory", () => {
  it("has what was saved last", async () => {
    const storage = memoryStorage();
    expect(storage.load()).toBeNull();
    await storage.save(tokens(1, 5));
    expect(storage.load()).toEqual(tokens(1, 5));
    await storage.save(null);
    expect(storage.load()).toBeNull();
  });
});

describe("a storage of the browser", () => {
  it("has what was saved last, under its key", async () => {
    const area = new FakeStorage();
    const storage = webTokenStorage(area as unknown as Storage);
    expect(storage.load()).toBeNull();
    await storage.save(tokens(1, 5));
    expect([...area.items.keys()]).toEqual(["nowrong.tokens"]);
    expect(storage.load()).toEqual(tokens(1, 5));
    expect(webTokenStorage(area as unknown as Storage, "other").load()).toBeNull();
    await storage.save(null);
    expect(area.items.size).toBe(0);
  });

  it.each([
    ["no JSON", "{"],
    ["null", "null"],
    ["a number", "7"],
    ["a string", `"text"`],
    ["nothing of it", "{}"],
    ["no access token", JSON.stringify({ ...tokens(1, 5), accessToken: 1 })],
    ["no time", JSON.stringify({ ...tokens(1, 5), accessExpiresAtMs: "5" })],
    ["no refresh token", JSON.stringify({ ...tokens(1, 5), refreshToken: null })],
  ])("takes a value of another program for none: %s", (_, text) => {
    const area = new FakeStorage();
    area.setItem("nowrong.tokens", text);
    expect(webTokenStorage(area as unknown as Storage).load()).toBeNull();
  });

  it("takes only its own fields", () => {
    const area = new FakeStorage();
    area.setItem("nowrong.tokens", JSON.stringify({ ...tokens(1, 5), more: 1 }));
    expect(webTokenStorage(area as unknown as Storage).load()).toEqual(tokens(1, 5));
  });
});

describe("the tokens of a client", () => {
  /** Tokens that lapse in a minute, and how often they were exchanged. */
  function kept(lapsesInMs = 60_000) {
    const environment = new FakeEnvironment();
    const storage = memoryStorage();
    const refresh = vi.fn((refreshToken: string) => {
      const next = Number(refreshToken.replace("refresh-", "")) + 1;
      return Promise.resolve(tokens(next, environment.now() + 60_000));
    });
    const client = new Tokens(storage, environment, refresh);
    const first = tokens(1, environment.now() + lapsesInMs);
    return { environment, storage, refresh, client, first };
  }

  it("are none before they were saved or loaded", async () => {
    const { client } = kept();
    expect(await client.load()).toBe(false);
    await expect(client.access()).rejects.toMatchObject({ codeName: "UNAUTHENTICATED" });
  });

  it("are loaded from the storage", async () => {
    const { client, storage, first } = kept();
    await storage.save(first);
    expect(await client.load()).toBe(true);
    expect(await client.access()).toBe("access-1");
  });

  it("are good until 30 s before they lapse", async () => {
    const fresh = kept(30_001);
    await fresh.client.save(fresh.first);
    expect(await fresh.client.access()).toBe("access-1");
    const stale = kept(30_000);
    await stale.client.save(stale.first);
    expect(await stale.client.access()).toBe("access-2");
    expect(stale.refresh).toHaveBeenCalledExactlyOnceWith("refresh-1");
    expect(stale.storage.load()).toMatchObject({ accessToken: "access-2" });
  });

  it("are renewed when the server has refused the access token, and only that one", async () => {
    const { client, first, refresh } = kept();
    await client.save(first);
    expect(await client.access("access-0")).toBe("access-1");
    expect(await client.access("access-1")).toBe("access-2");
    expect(await client.access("access-1")).toBe("access-2");
    expect(refresh).toHaveBeenCalledOnce();
  });

  it("are renewed once at a time, and again when that was done or has failed", async () => {
    const { client, first, refresh } = kept(0);
    await client.save(first);
    refresh.mockRejectedValueOnce(new Error("no network"));
    const failing = [client.access(), client.access()];
    expect((await Promise.allSettled(failing)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(await Promise.all([client.access(), client.access()])).toEqual(["access-2", "access-2"]);
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it("are those of another tab, when that has renewed them", async () => {
    const { client, first, refresh, storage, environment } = kept(0);
    await client.save(first);
    await storage.save(tokens(5, environment.now() + 60_000));
    expect(await client.access()).toBe("access-5");
    expect(await client.access()).toBe("access-5");
    expect(refresh).not.toHaveBeenCalled();
  });

  it("are renewed by the refresh token of another tab, when its access token has lapsed, too", async () => {
    const { client, first, refresh, storage, environment } = kept(0);
    await client.save(first);
    await storage.save(tokens(5, environment.now() + 30_000));
    expect(await client.access()).toBe("access-6");
    expect(refresh).toHaveBeenCalledExactlyOnceWith("refresh-5");
  });

  it("are renewed by their own refresh token, when the storage was emptied", async () => {
    const { client, first, refresh, storage } = kept(0);
    await client.save(first);
    await storage.save(null);
    expect(await client.access()).toBe("access-2");
    expect(refresh).toHaveBeenCalledExactlyOnceWith("refresh-1");
  });

  it("stay good in memory when the storage fails, and never leave behind what it has", async () => {
    const { client, first, refresh, storage, environment } = kept(0);
    await client.save(first);
    storage.save = () => {
      throw new Error("the quota is exceeded");
    };
    for (const access of ["access-2", "access-2"]) {
      expect(await client.access()).toBe(access);
      expect(await client.access()).toBe(access);
      environment.time += 60_000;
    }
    // A reload brings this one, and it must not be older than one that was exchanged.
    expect(storage.load()).toEqual(first);
    expect(refresh.mock.calls).toEqual([["refresh-1"], ["refresh-1"]]);
  });
});
