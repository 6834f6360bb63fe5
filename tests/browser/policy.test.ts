import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, startChromium, startFirefox } from "./browsers.ts";

const SDK = fileURLToPath(new URL("../../sdk-ts/dist", import.meta.url));

/** A page under a policy learns of a refusal within this. */
const REFUSED_MS = 1_000;

/** Nobody listens there, and nobody has to: the policy refuses it first. */
const SOCKET = "wss://chat.example:8443/v1/websocket";

/** Serves an empty page under the policy `connect-src 'none'`, and the modules of the SDK. */
let host: Server;
let origin: string;
let browsers: Record<"chromium" | "firefox", Browser>;

beforeAll(async () => {
  host = createServer((request, response) => {
    const path = normalize(request.url ?? "/");
    if (path === "/") {
      response.setHeader("content-security-policy", "connect-src 'none'");
      response.setHeader("content-type", "text/html");
      response.end("<!doctype html><title>A page under a policy</title>");
      return;
    }
    readFile(join(SDK, path)).then(
      (module) => response.setHeader("content-type", "text/javascript").end(module),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
  const address = host.address();
  origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  const [chromium, firefox] = await Promise.all([startChromium(), startFirefox()]);
  browsers = { chromium, firefox };
});

afterAll(async () => {
  await Promise.all(Object.values(browsers ?? {}).map((browser) => browser.close()));
  host?.close();
});

interface Refusal {
  readonly name: string;
  readonly message: string;
  readonly isOurs: boolean;
  readonly ms: number;
}

/** Runs `attempt` in the page, with the SDK as `sdk`; returns what it was rejected with, and after how long. */
async function refused(browser: Browser, attempt: string): Promise<Refusal> {
  const tab = await browser.tab();
  try {
    await tab.goto(`${origin}/`);
    return await tab.evaluate<Refusal>(`(async () => {
      const sdk = await import("/index.js");
      const { openWebSocket } = await import("/link/websocket.js");
      const startedAt = performance.now();
      const late = new Promise((resolve) => setTimeout(resolve, 5_000, { name: "nothing", message: "" }));
      const error = await Promise.race([(${attempt})().catch((error) => error), late]);
      const isOurs = error instanceof sdk.NetworkError;
      return { name: error.name, message: error.message, isOurs, ms: performance.now() - startedAt };
    })()`);
  } finally {
    await tab.close();
  }
}

describe.each(["chromium", "firefox"] as const)("under a policy without connections, in %s", (name) => {
  it("a WebSocket is refused at once, with an error of ours", async () => {
    const events = "{ bytes() {}, datagram() {}, message() {}, closed() {} }";
    const address = `{ url: "${SOCKET}", certificateHash: null }`;
    const attempt = `() => openWebSocket(WebSocket, ${address}, ${events}, new AbortController().signal)`;
    const refusal = await refused(browsers[name], attempt);
    expect(refusal).toMatchObject({ name: "NetworkError", isOurs: true });
    expect(refusal.ms).toBeLessThan(REFUSED_MS);
  });

  it("registering says what to allow", async () => {
    const attempt = `() => sdk.NoWrong.register({ url: "https://chat.example:8443", name: "Ada", ageBracket: "18+" })`;
    const refusal = await refused(browsers[name], attempt);
    expect(refusal).toMatchObject({ name: "NetworkError", isOurs: true });
    expect(refusal.message).toBe(
      "https://chat.example:8443 was refused by this page's Content-Security-Policy: " +
        "add https://chat.example:8443 to connect-src.",
    );
    expect(refusal.ms).toBeLessThan(REFUSED_MS);
  });

  it.each([
    ["a WebSocket", "null", `"${SOCKET}"`, "wss://chat.example:8443"],
    ["WebTransport", `"https://chat.example:4433/v1/webtransport"`, "null", "https://chat.example:4433"],
  ])(
    "a connection over %s is closed, and says what to allow",
    async (_, webtransport, websocket, allowed) => {
      // The REST calls are replied to in the page: only the transport is under the policy.
      const attempt = `async () => {
      const user = { id: "u", name: "Ada", language: "en", interests: [], age_bracket: "18+", expires_at_ms: 9 };
      const tokens = { access_token: "a", access_expires_in_ms: 600000, refresh_token: "r" };
      const endpoint = { webtransport: ${webtransport}, websocket: ${websocket}, certificate_hash: null };
      const fetch = (url) => Promise.resolve(new Response(JSON.stringify(
        url.endsWith("/v1/connect") ? { connect_token: "t", expires_in_ms: 30000, endpoint } : { user, ...tokens },
      )));
      const environment = { ...sdk.browserEnvironment(), fetch };
      const client = await sdk.NoWrong.register({ url: "https://x", name: "Ada", ageBracket: "18+", environment });
      const connection = client.connect();
      await new Promise((resolve) => connection.on("state", (state) => state === "closed" && resolve()));
      throw connection.error;
    }`;
      const refusal = await refused(browsers[name], attempt);
      expect(refusal.message).toBe(
        `${allowed} was refused by this page's Content-Security-Policy: add ${allowed} to connect-src.`,
      );
      expect(refusal.ms).toBeLessThan(REFUSED_MS);
    },
  );
});
