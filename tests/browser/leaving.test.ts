import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, startChromium, startFirefox } from "./browsers.ts";
import { meet, Person, type Tab } from "./person.ts";
import { Server } from "./server.ts";

/** Leaving is known to everybody within this. */
const LEFT_MS = 2_000;

/** A dead server or path is known to a person who only reads within this. */
const DEAD_MS = 6_000;

let metrics: string;
let server: Server;
let browsers: Record<"chromium" | "firefox", Browser>;

beforeAll(async () => {
  const address = `127.0.0.1:${await freePort()}`;
  metrics = `http://${address}/metrics`;
  const [started, chromium, firefox] = await Promise.all([
    Server.start(`listen_metrics=${address}`),
    startChromium(),
    startFirefox(),
  ]);
  server = started;
  browsers = { chromium, firefox };
});

afterAll(async () => {
  await Promise.all(Object.values(browsers ?? {}).map((browser) => browser.close()));
  await server?.stop();
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** The number of clients that are connected, as the server counts them. */
async function connections(): Promise<number> {
  const text = await (await fetch(metrics)).text();
  return Number(/^nowrong_connections (\d+)$/m.exec(text)?.[1]);
}

let visitors = 0;

async function person(browser: Browser, transport: string): Promise<Person> {
  return arrive(await browser.tab(), transport);
}

/** Somebody new comes to the page in this tab. */
async function arrive(tab: Tab, transport: string): Promise<Person> {
  visitors += 1;
  const query = transport === "websocket" ? "?transport=websocket" : "";
  const who = await new Person(tab, `Guest ${visitors}`).arrive(server.url, query);
  await who.until("a link", `window.__nowrong.connection.transport === "${transport}"`);
  return who;
}

const everywhere = (["chromium", "firefox"] as const).flatMap((name) =>
  (["webtransport", "websocket"] as const).map((transport) => [name, transport] as const),
);

describe("a person who leaves", () => {
  it.each(everywhere)("in %s over %s is gone for the server and the partner", async (name, transport) => {
    const [leaving, staying] = [
      await person(browsers[name], transport),
      await person(browsers.chromium, transport),
    ];
    await meet(leaving, staying, "music");
    await staying.tab.evaluate(`void (window.__heard = [],
      window.__nowrong.connection.chat.on("presence", ({ state }) => window.__heard.push(state)),
      window.__nowrong.connection.chat.on("seat", ({ state }) => window.__heard.push(state)))`);
    const before = await connections();
    const closedAt = performance.now();
    await leaving.tab.close();
    await expect.poll(connections, { timeout: LEFT_MS }).toBe(before - 1);
    const isTold = `["away", "held"].every((state) => window.__heard.includes(state))`;
    await staying.until("away", isTold, Math.max(0, LEFT_MS - (performance.now() - closedAt)));
    await staying.tab.close();
    await expect.poll(connections, { timeout: LEFT_MS }).toBe(before - 2);
  });

  it.each(everywhere)(
    "and comes back six times as another in %s over %s has one connection",
    async (name, transport) => {
      await expect.poll(connections, { timeout: LEFT_MS }).toBe(0);
      const { tab } = await person(browsers[name], transport);
      for (let reload = 0; reload < 6; reload += 1) {
        await tab.evaluate("sessionStorage.clear()");
        await arrive(tab, transport);
      }
      await expect.poll(connections, { timeout: LEFT_MS }).toBe(1);
      await tab.close();
      await expect.poll(connections, { timeout: LEFT_MS }).toBe(0);
    },
  );

  it.each(["chromium", "firefox"] as const)(
    "and comes back by the back button in %s is there again",
    async (name) => {
      const who = await person(browsers[name], "webtransport");
      await who.tab.goto(`${server.url}/v1/categories`);
      await expect.poll(connections, { timeout: LEFT_MS }).toBe(0);
      await who.tab.evaluate("void history.back()").catch(() => undefined);
      await expect
        .poll(() => who.tab.evaluate(`window.__nowrong?.connection.state`).catch(() => null), {
          timeout: 10_000,
        })
        .toBe("ready");
      await expect.poll(connections, { timeout: LEFT_MS }).toBe(1);
      await who.tab.close();
    },
  );
});

describe("a server that is gone without a word", () => {
  it.each(everywhere)("is noticed in %s over %s by a person who only reads", async (name, transport) => {
    const [reader, writer] = [
      await person(browsers[name], transport),
      await person(browsers.chromium, transport),
    ];
    await meet(reader, writer, "books");
    await writer.say("the last words");
    await reader.hear("the last words");
    await reader.tab.evaluate(`void window.__nowrong.connection.on("state", (state) => {
      if (state === "reconnecting") window.__lostAt ??= Date.now();
    })`);
    const pausedAt = Date.now();
    server.pause();
    try {
      await reader.until("the loss", "window.__lostAt !== undefined", DEAD_MS + 2_000);
    } finally {
      server.resume();
    }
    const foundMs = (await reader.tab.evaluate<number>("window.__lostAt")) - pausedAt;
    expect(foundMs).toBeLessThanOrEqual(DEAD_MS);
    await reader.until("a link again", `window.__nowrong.connection.state === "ready"`);
    await Promise.all([reader.tab.close(), writer.tab.close()]);
  });
});
