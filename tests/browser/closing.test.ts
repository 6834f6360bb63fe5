import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, startChromium, startFirefox } from "./browsers.ts";
import { Server } from "./server.ts";

let server: Server;
let browsers: Record<"chromium" | "firefox", Browser>;

beforeAll(async () => {
  const [started, chromium, firefox] = await Promise.all([Server.start(), startChromium(), startFirefox()]);
  server = started;
  browsers = { chromium, firefox };
});

afterAll(async () => {
  await Promise.all(Object.values(browsers ?? {}).map((browser) => browser.close()));
  await server?.stop();
});

/** Opens a WebSocket without the SDK, says `Hello` if it is to be welcomed, and acts; returns how it was closed. */
const closes = (isWelcomed: boolean, act: string) => `(async () => {
  const post = async (path, body, token) => {
    const headers = { "Content-Type": "application/json", ...(token && { Authorization: "Bearer " + token }) };
    return (await fetch(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
  };
  const name = "Mallory " + crypto.randomUUID().slice(0, 8);
  const user = { name, language: "en", age_bracket: "18+", interests: [] };
  const { access_token } = await post("/v1/users", user);
  const { endpoint, connect_token } = await post("/v1/connect", {}, access_token);
  const socket = new WebSocket(endpoint.websocket);
  const heard = (name) => new Promise((resolve) => socket.addEventListener(name, resolve, { once: true }));
  const closed = heard("close");
  await heard("open");
  if (${isWelcomed}) {
    const token = [...new TextEncoder().encode(connect_token)];
    const body = [1, 1, token.length, ...token, 0, 0];
    const welcomed = heard("message");
    socket.send(Uint8Array.from([1, body.length, ...body]));
    await welcomed;
  }
  ${act};
  const { code, wasClean } = await closed;
  return { code, wasClean };
})()`;

describe.each(["chromium", "firefox"] as const)("a WebSocket in %s", (name) => {
  it.each([
    ["before Hello", false, "socket.close(1000)", 1_000],
    ["after Welcome", true, "socket.close(1000)", 1_000],
    ["after its Bye", true, "socket.send(Uint8Array.of(3, 5, 0xfb, 0x94, 0x11, 0, 0))", 4_500],
    ["after a mistake", true, `socket.send("a text")`, 4_501],
  ])("ends cleanly %s", async (_, isWelcomed, act, code) => {
    const tab = await browsers[name].tab();
    await tab.goto(server.url);
    expect(await tab.evaluate(closes(isWelcomed, act))).toEqual({ code, wasClean: true });
    await tab.close();
  });

  it("is told why after a message that is too long", async () => {
    const tab = await browsers[name].tab();
    await tab.goto(server.url);
    // The rest of the message is never read, so the connection may be reset after the close frame.
    const act = "socket.send(new Uint8Array(70_000))";
    expect(await tab.evaluate(closes(true, act))).toMatchObject({ code: 4_502 });
    await tab.close();
  });
});
