import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, startChromium, startFirefox } from "./browsers.ts";
import { Person } from "./person.ts";
import { Server } from "./server.ts";

let server: Server;
let browsers: Record<"chromium" | "firefox", Browser>;

beforeAll(async () => {
  server = await Server.start("limits.proof_work=200");
  const [chromium, firefox] = await Promise.all([startChromium(), startFirefox()]);
  browsers = { chromium, firefox };
});

afterAll(async () => {
  await Promise.all(Object.values(browsers ?? {}).map((browser) => browser.close()));
  await server?.stop();
});

/** Makes a page that has no workers, as an old browser or a strict policy would. */
const NO_WORKERS = "globalThis.Worker = undefined";

/** The files of workers that the page has loaded. */
const WORKERS = `performance.getEntriesByType("resource").filter(({ name }) => /worker/.test(name)).length`;

describe.each(["chromium", "firefox"] as const)("a proof of work in %s", (name) => {
  it("is found in a worker, under the policy of the server, and makes an account", async () => {
    const tab = await browsers[name].tab();
    await new Person(tab, `Ada ${name}`).arrive(server.url);
    expect(await tab.evaluate<number>(WORKERS)).toBe(1);
    await tab.close();
  });
});

describe("a proof of work without workers", () => {
  it("is found in slices", async () => {
    const tab = await browsers.chromium.tab(NO_WORKERS);
    await new Person(tab, "Ben").arrive(server.url);
    expect(await tab.evaluate<number>(WORKERS)).toBe(0);
    await tab.close();
  });
});
