import { CloseCode } from "@nowrong/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, startChromium, startFirefox } from "./browsers.ts";
import { meet, Person } from "./person.ts";
import { Server } from "./server.ts";

let server: Server;
let chromium: Browser;
let firefox: Browser;

beforeAll(async () => {
  [server, chromium, firefox] = await Promise.all([Server.start(), startChromium(), startFirefox()]);
});

afterAll(async () => {
  await Promise.all([chromium?.close(), firefox?.close()]);
  await server?.stop();
});

let visitors = 0;

/** A new person at the page. No two names are alike while a server runs. */
async function person(browser: Browser, name: string, { query = "", init = "" } = {}): Promise<Person> {
  visitors += 1;
  const tab = await browser.tab(init === "" ? undefined : init);
  return new Person(tab, `${name} ${visitors}`).arrive(server.url, query);
}

/** Both leave; returns the transports of their connections, from the log of the server. */
async function part(one: Person, two: Person): Promise<string[]> {
  const before = server.log.length;
  await Promise.all([one, two].map((who) => who.tab.evaluate("window.__nowrong.client.close()")));
  const ends = /"(?:closed|link lost)".*"transport":"(\w+)"/g;
  const found = () => [...server.log.slice(before).matchAll(ends)].map(([, transport = ""]) => transport);
  await expect.poll(() => found().length, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
  await Promise.all([one.tab.close(), two.tab.close()]);
  return found();
}

/** The two talk: both get all messages in one order, and the sender sees that they were read. */
async function talk(one: Person, two: Person): Promise<void> {
  await one.say("Hello from the one side, مرحبا 👋");
  await two.hear("Hello from the one side, مرحبا 👋");
  await two.say("and hello from the other");
  await one.hear("and hello from the other");
  await one.reach("read");
  expect(await one.texts()).toEqual(await two.texts());
}

/** Opens a session without the SDK, sends bytes that are not a frame, and returns how the server closed it. */
const MISSTEP = `(async () => {
  const post = async (path, body, token) => {
    const headers = { "Content-Type": "application/json", ...(token && { Authorization: "Bearer " + token }) };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) throw new Error(JSON.stringify(answer));
    return answer;
  };
  const name = "Mallory " + crypto.randomUUID().slice(0, 8);
  const user = { name, language: "en", age_bracket: "18+", interests: [] };
  const { access_token } = await post("/v1/users", user);
  const { endpoint } = await post("/v1/connect", {}, access_token);
  const value = Uint8Array.from(atob(endpoint.certificate_hash), (c) => c.charCodeAt(0));
  const hashes = [{ algorithm: "sha-256", value }];
  const session = new WebTransport(endpoint.webtransport, { serverCertificateHashes: hashes });
  await session.ready;
  const lane = await session.createBidirectionalStream();
  await lane.writable.getWriter().write(new Uint8Array(10).fill(0xff));
  const { closeCode, reason } = await session.closed;
  return { closeCode, reason };
})()`;

describe("two people talk over WebTransport", () => {
  it("in Chromium", async () => {
    // Collects what the content security policy of the page has refused.
    const init = `window.violations = [];
      addEventListener("securitypolicyviolation", (event) => window.violations.push(event.blockedURI));`;
    const [ada, bob] = [await person(chromium, "Ada", { init }), await person(chromium, "Bob")];
    await ada.picture("chromium-topics");
    await meet(ada, bob);
    await talk(ada, bob);
    for (const who of [ada, bob]) {
      expect(await who.report()).toMatchObject({ state: "ready", transport: "webtransport" });
    }
    expect(await ada.tab.evaluate("window.violations")).toEqual([]);
    expect(await ada.text("why")).toBe("You share jazz and both speak English.");
    await ada.picture("chromium-webtransport");
    await bob.tab.resize(390, 780);
    await bob.picture("chromium-webtransport-phone");
    expect(await part(ada, bob)).toEqual(["webtransport", "webtransport"]);
  });

  it("in Firefox", async () => {
    const [eve, fay] = [await person(firefox, "Eve"), await person(firefox, "Fay")];
    await meet(eve, fay, "books");
    await talk(eve, fay);
    for (const who of [eve, fay]) {
      expect(await who.report()).toMatchObject({ state: "ready", transport: "webtransport" });
    }
    await eve.picture("firefox-webtransport");
    expect(await part(eve, fay)).toEqual(["webtransport", "webtransport"]);
  });
});

describe("a session that the server closes", () => {
  it("tells the page the number of the Bye, in both browsers", async () => {
    for (const browser of [chromium, firefox]) {
      const tab = await browser.tab();
      await tab.goto(server.url);
      expect(await tab.evaluate(MISSTEP)).toEqual({ closeCode: CloseCode.BAD_FRAME, reason: "BAD_FRAME" });
      await tab.close();
    }
  });
});

describe("two people talk over a WebSocket", () => {
  it("in Chromium without WebTransport", async () => {
    const init = "delete window.WebTransport";
    const gus = await person(chromium, "Gus", { init });
    const hal = await person(chromium, "Hal", { init });
    expect(await gus.tab.evaluate("typeof WebTransport")).toBe("undefined");
    await meet(gus, hal, "films");
    await talk(gus, hal);
    for (const who of [gus, hal]) {
      expect(await who.report()).toMatchObject({ state: "ready", transport: "websocket" });
    }
    await gus.picture("chromium-websocket");
    expect(await part(gus, hal)).toEqual(["websocket", "websocket"]);
  });
});

describe("a mixed pair", () => {
  it("talks: Chromium over WebTransport, Firefox over a WebSocket", async () => {
    const ida = await person(chromium, "Ida");
    const jon = await person(firefox, "Jon", { query: "?transport=websocket" });
    await meet(ida, jon, "travel");
    await talk(ida, jon);
    expect((await ida.report()).transport).toBe("webtransport");
    expect((await jon.report()).transport).toBe("websocket");
    await Promise.all([ida.tab.close(), jon.tab.close()]);
  });
});

describe("a switch of transport in mid-chat", () => {
  it("loses and repeats nothing, there and back", async () => {
    const [kay, lou] = [await person(chromium, "Kay"), await person(firefox, "Lou")];
    await meet(kay, lou, "games");
    await talk(kay, lou);
    const wanted: string[] = [];
    for (const transport of ["websocket", "webtransport"]) {
      // Both keep sending during the switch.
      const burst = Array.from({ length: 20 }, (_, index) => `${transport} ${index}`);
      wanted.push(...burst.map((text) => `kay ${text}`), ...burst.map((text) => `lou ${text}`));
      const say = (name: string) =>
        `(async () => { for (const text of ${JSON.stringify(burst)}) {
          window.__nowrong.connection.chat.send(${JSON.stringify(name)} + " " + text);
          await new Promise((resolve) => setTimeout(resolve, 20));
        } })()`;
      await Promise.all([
        kay.tab.evaluate(say("kay")),
        lou.tab.evaluate(say("lou")),
        kay.tab.evaluate(`window.__nowrong.connection.move(["${transport}"])`),
      ]);
      await kay.until("the switch", `window.__nowrong.connection.transport === "${transport}"`);
      await Promise.all([
        kay.hear(`lou ${transport} 19`),
        lou.hear(`kay ${transport} 19`),
        kay.reach("read"),
      ]);
    }
    const heard = await kay.texts();
    expect(heard).toEqual(await lou.texts());
    expect(heard.slice(2).sort()).toEqual(wanted.sort());
    const positions = (await kay.bubbles()).map(({ position }) => Number(position.split(".")[1]));
    expect(positions).toEqual(positions.map((_, index) => index + 1));
    expect((await kay.report()).links).toBe(3);
    await Promise.all([kay.tab.close(), lou.tab.close()]);
  });
});

describe("what people do", () => {
  it("typing, answering, deleting, leaving, meeting again", async () => {
    const [mia, ned] = [await person(chromium, "Mia"), await person(chromium, "Ned")];
    await mia.pick("science");
    await mia.see("waiting");
    expect(await mia.text("stage")).toContain("someone who shares jazz");
    await mia.picture("chromium-waiting");
    await ned.pick("science");
    await Promise.all([mia.see("chat"), ned.see("chat")]);

    await mia.tab.fill('[data-testid="message"]', "I am about to");
    await ned.until(
      "typing",
      `document.querySelector('[data-testid="partner-status"]').textContent === "typing…"`,
    );
    await mia.tab.press('[data-testid="message"]', "Enter");
    await ned.hear("I am about to");

    await ned.tab.evaluate(`document.querySelector('[data-testid="reply"]').click()`);
    await ned.say("say what?");
    await mia.hear("say what?");
    await mia.until("the quote", `document.querySelector("blockquote")?.textContent === "I am about to"`);

    await mia.tab.evaluate(`document.querySelector('[data-testid="erase"]').click()`);
    await ned.hear("deleted message");
    await mia.picture("chromium-chat");

    await ned.tab.click('[data-testid="leave"]');
    expect(await ned.text("leave")).toBe("Really leave");
    await ned.tab.click('[data-testid="leave"]');
    await ned.see("categories");
    await mia.see("ended");
    expect(await mia.text("ended")).toBe(`${ned.name} left this chat.`);
    await mia.picture("chromium-ended");
    await mia.tab.click('[data-testid="again"]');
    await mia.see("waiting");
    await mia.tab.click('[data-testid="cancel"]');
    await mia.see("categories");
    await Promise.all([mia.tab.close(), ned.tab.close()]);
  });

  it("reloading the page: the chat is there again, with everything in it", async () => {
    const [ola, pia] = [await person(chromium, "Ola"), await person(chromium, "Pia")];
    await meet(ola, pia, "art");
    await talk(ola, pia);
    await ola.tab.goto(`${server.url}/`);
    await ola.see("chat");
    await ola.hear("and hello from the other");
    expect(await ola.texts()).toEqual(await pia.texts());
    await ola.say("back again");
    await pia.hear("back again");
    await Promise.all([ola.tab.close(), pia.tab.close()]);
  });
});

describe("kill -9 of the server in mid-chat", () => {
  it("loses nothing that was acked, and both come back by themselves", async () => {
    const [quin, rae] = [await person(chromium, "Quin"), await person(firefox, "Rae")];
    await meet(quin, rae, "music");
    await talk(quin, rae);
    await server.killAndRestart();
    await quin.say("still there?");
    // A silent browser notices by its ping: after 3 s of silence and 2.5 s without an answer.
    await rae.hear("still there?");
    await rae.say("still here");
    await quin.hear("still here");
    await quin.reach("read");
    expect(await quin.texts()).toEqual(await rae.texts());
    expect(await quin.texts()).toHaveLength(4);
    await Promise.all([quin.tab.close(), rae.tab.close()]);
  });
});
