import { createSocket, type Socket } from "node:dgram";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, startChromium, startFirefox } from "./browsers.ts";
import { meet, Person } from "./person.ts";
import { Server } from "./server.ts";

/** A UDP port that accepts all packets and never replies, as behind a firewall that drops QUIC. */
let hole: Socket;
let server: Server;
let browsers: Browser[];

beforeAll(async () => {
  hole = createSocket("udp4");
  await new Promise<void>((resolve) => hole.bind(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${hole.address().port}/v1/webtransport`;
  [server, ...browsers] = await Promise.all([
    Server.start(`public_url.webtransport=${url}`),
    startChromium(),
    startFirefox(),
  ]);
});

afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server?.stop();
  hole.close();
});

describe("where UDP is swallowed", () => {
  it("people talk over a WebSocket within a second, without being asked", async () => {
    const people = await Promise.all(
      browsers.map(async (browser, index) =>
        new Person(await browser.tab(), `Zoe ${index}`).arrive(server.url),
      ),
    );
    const [one, two] = people;
    if (one === undefined || two === undefined) {
      throw new Error("two browsers were started");
    }
    for (const who of people) {
      await who.until("a connection", `window.__nowrong.connection.state === "ready"`, 3_000);
      expect((await who.report()).transport).toBe("websocket");
    }
    await meet(one, two);
    await one.say("no UDP here");
    await two.hear("no UDP here");
  });
});
