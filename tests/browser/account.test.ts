import { ErrorCode } from "@nowrong/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Browser, type SavingTab, startChromium } from "./browsers.ts";
import { meet, Person } from "./person.ts";
import { Server } from "./server.ts";

let server: Server;
let chromium: Browser<SavingTab>;

beforeAll(async () => {
  [server, chromium] = await Promise.all([Server.start(), startChromium()]);
});

afterAll(async () => {
  await chromium?.close();
  await server?.stop();
});

let visitors = 0;

async function person(name: string, init?: string): Promise<Person> {
  visitors += 1;
  return new Person(await chromium.tab(init), `${name} ${visitors}`).arrive(server.url);
}

/** The tokens of a page, as it keeps them. */
const TOKENS = `sessionStorage.getItem("nowrong.tokens")`;

const LOGGED_OUT = "You are logged out here: from another tab or device, or because the account is gone.";

const id = (who: Person) => who.tab.evaluate<string>("window.__nowrong.client.user.id");

/** While `localStorage.fault` is there, no call of the page reaches the server: it is `network`, or the reply. */
const FAULTS = `{
  const real = window.fetch.bind(window);
  window.fetch = async (...call) => {
    const fault = localStorage.getItem("fault");
    if (fault === null) return real(...call);
    if (fault === "network") throw new TypeError("There is no network.");
    const headers = { "content-type": "application/problem+json" };
    return new Response(fault, { status: 429, headers });
  };
}`;

const BUSY = JSON.stringify({ code: ErrorCode.RATE_LIMITED, retry_after_ms: 12_000 });

describe("a reload while the server cannot be asked", () => {
  it.each([
    ["without a network", "network", "", `window.dispatchEvent(new Event("online"))`],
    ["when it refuses", BUSY, "in 12\u00a0s.", `document.querySelector('[data-testid="retry"]').click()`],
  ])("%s keeps the account", async (_, fault, advice, again) => {
    const ana = await person("Ana", FAULTS);
    const before = await id(ana);
    await ana.tab.evaluate(`localStorage.setItem("fault", ${JSON.stringify(fault)})`);
    await ana.tab.goto(server.url);
    await ana.read("unreachable", "Your account is safe.");
    expect(await ana.text("unreachable")).toContain(advice);
    await ana.tab.evaluate(`localStorage.removeItem("fault")`);
    await ana.tab.evaluate(`void ${again}`);
    await ana.read("greeting", ana.name);
    expect(await id(ana)).toBe(before);
    await ana.tab.close();
  });
});

describe("a reload with tokens that the server refuses", () => {
  it("leads to the first screen, says why and forgets them", async () => {
    const bea = await person("Bea");
    const refused = { accessToken: "refused", accessExpiresAtMs: 0, refreshToken: "refused" };
    await bea.tab.evaluate(
      `sessionStorage.setItem("nowrong.tokens", ${JSON.stringify(JSON.stringify(refused))})`,
    );
    await bea.tab.goto(server.url);
    await bea.read("farewell", LOGGED_OUT);
    expect(await bea.tab.evaluate(TOKENS)).toBeNull();
    await bea.tab.close();
  });
});

/** Opens a second tab with the account of `who`, as a browser does that duplicates a tab. */
async function duplicate(who: Person): Promise<Person> {
  const tokens = JSON.stringify(await who.tab.evaluate<string>(TOKENS));
  const tab = await chromium.tab();
  await tab.goto(server.url);
  await tab.evaluate(`sessionStorage.setItem("nowrong.tokens", ${tokens})`);
  await tab.goto(server.url);
  return new Person(tab, who.name);
}

describe("a connection that is closed for good", () => {
  it("because of another tab offers to connect here, which takes it back", async () => {
    const one = await person("Dora");
    await one.until("a link", `window.__nowrong.connection.state === "ready"`);
    const two = await duplicate(one);
    await one.read("banner", "You are connected in another tab or window.");
    await one.click("connect");
    await one.until("a link again", `window.__nowrong.connection.state === "ready"`);
    await two.see("connect");
    expect(await one.text("banner")).toBe("");
    await Promise.all([one.tab.close(), two.tab.close()]);
  });

  it("because the account was erased elsewhere leads to the first screen, and says so", async () => {
    const eli = await person("Eli");
    await eli.until("a link", `window.__nowrong.connection.state === "ready"`);
    const token = `JSON.parse(${TOKENS}).accessToken`;
    await eli.tab.evaluate(`fetch("/v1/me", {
      method: "DELETE",
      headers: { authorization: "Bearer " + ${token} },
    }).then(({ status }) => status)`);
    await eli.read("farewell", "The account is gone: it was erased, or not used for a day.");
    expect(await eli.tab.evaluate(TOKENS)).toBeNull();
    await eli.tab.close();
  });
});

/** Clicks a button that asks first, and confirms. */
async function confirm(who: Person, test: string): Promise<void> {
  await who.click(test);
  await who.read(test, "Really");
  await who.click(test);
}

describe("the account menu", () => {
  it("saves what the server holds of the account", async () => {
    const tab = await chromium.tab();
    const flo = await new Person(tab, "Flo").arrive(server.url);
    await flo.click("you");
    await flo.see("export");
    const { name, text } = await tab.save('[data-testid="export"]');
    expect(name).toBe("nowrong-data.json");
    expect(JSON.parse(text)).toMatchObject({ user: { id: await id(flo), name: "Flo", interests: ["jazz"] } });
    await tab.close();
  });

  it("logs out everywhere: a chat that was left is over, and another tab goes to its first screen", async () => {
    const [gil, partner] = [await person("Gil"), await person("Hana")];
    await meet(gil, partner);
    const second = await duplicate(gil);
    await second.see("chat");
    await gil.see("connect");
    await confirm(second, "leave");
    await partner.read("ended", `${gil.name} left this chat.`);
    await second.click("you");
    await confirm(second, "log-out-everywhere");
    await second.read("farewell", "You are logged out everywhere.");
    expect(await second.tab.evaluate(TOKENS)).toBeNull();
    await gil.click("connect");
    await gil.read("farewell", LOGGED_OUT);
    await Promise.all([gil, second, partner].map(({ tab }) => tab.close()));
  });

  it("erases the account, and says that all is gone", async () => {
    const ivo = await person("Ivo");
    const tokens = JSON.parse(await ivo.tab.evaluate<string>(TOKENS)) as { accessToken: string };
    await ivo.click("you");
    await confirm(ivo, "erase-me");
    await ivo.read("farewell", "All is gone");
    expect(await ivo.tab.evaluate(TOKENS)).toBeNull();
    const authorization = `Bearer ${tokens.accessToken}`;
    expect((await fetch(`${server.url}/v1/me`, { headers: { authorization } })).status).toBe(401);
    await ivo.tab.close();
  });
});

/** Enters a recovery code on the first screen. */
async function recover(who: Person, code: string): Promise<void> {
  const isOpen = `document.querySelector('[data-testid="have-code"]')?.parentElement.open === true`;
  if (!(await who.tab.evaluate(isOpen))) {
    await who.click("have-code");
  }
  await who.tab.fill('[data-testid="recover-code"]', code);
  await who.click("recover");
}

describe("a recovery code", () => {
  it("is shown once, brings the account back in another browser, and logs out the first", async () => {
    const jo = await person("Jo");
    const account = await id(jo);
    await jo.tab.press('[data-testid="you"]', "Enter");
    await jo.click("recovery-make");
    await jo.see("recovery-code");
    const code = await jo.text("recovery-code");
    await jo.tab.press('[data-testid="account"]', "Escape");
    await jo.until("the end of the code", `document.querySelector('[data-testid="recovery-code"]') === null`);

    const other = new Person(await chromium.tab(), jo.name);
    await other.tab.goto(server.url);
    await recover(other, ` ${code.toLowerCase().replaceAll("-", " ")}`);
    await other.read("greeting", jo.name);
    expect(await id(other)).toBe(account);
    await jo.read("farewell", LOGGED_OUT);

    await other.click("you");
    await confirm(other, "log-out");
    await other.read("farewell", "You are logged out.");
    await recover(other, code);
    await other.read("greeting", jo.name);
    expect(await id(other)).toBe(account);
    await Promise.all([jo.tab.close(), other.tab.close()]);
  });

  it("that is mistyped, or was removed, is refused in words", async () => {
    const kim = await person("Kim");
    await kim.click("you");
    await kim.click("recovery-make");
    await kim.see("recovery-code");
    const code = await kim.text("recovery-code");
    await kim.click("recovery-remove");
    await kim.read("recovery", "This account has no recovery code now.");

    const tab = await chromium.tab();
    const other = new Person(tab, kim.name);
    await tab.goto(server.url);
    await recover(other, code.slice(1));
    await other.read("recover-problem", "There is a typing mistake in this code.");
    await recover(other, code);
    await other.read("recover-problem", "No account has this code");
    await Promise.all([kim.tab.close(), tab.close()]);
  });
});

describe("a refusal", () => {
  it("is told in words for people, never in those for developers", async () => {
    const cleo = await person("Cleo");
    const tab = await chromium.tab();
    const other = new Person(tab, cleo.name);
    await tab.goto(server.url);
    await other.enter("X");
    await other.read(
      "problem",
      "This name cannot be used: it needs 2 to 24 letters, digits or signs that people can see.",
    );
    expect(await other.text("problem")).not.toContain("at least");
    await other.enter(cleo.name);
    await other.read("problem", "This name, or one that looks like it, is taken. Choose another one.");
    await Promise.all([cleo.tab.close(), tab.close()]);
  });
});
