import { describe, expect, it, vi } from "vitest";
import { NoWrong } from "../client.js";
import { RequestError } from "../error.js";
import { ErrorCode } from "../generated/code.js";
import { FakeEnvironment, settle } from "../testing/environment.js";
import { welcome } from "../testing/samples.js";
import { memoryStorage } from "./tokens.js";

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: Record<string, string>;
}

const USER = { id: "u", name: "Ada", language: "en", interests: [], age_bracket: "18+", expires_at_ms: 9 };

/** A server whose replies the test decides. */
class FakeRest {
  readonly calls: Call[] = [];
  readonly environment: FakeEnvironment;
  readonly requests: RequestInit[] = [];
  /** Takes the place of an answer. */
  failure: ((init: RequestInit) => Promise<Response>) | null = null;
  generation = 1;
  answer: (call: Call) => Response = (call) => this.usual(call);

  constructor() {
    const environment = new FakeEnvironment();
    this.environment = Object.assign(environment, {
      fetch: (url: string, init: RequestInit) => this.#fetch(url, init),
    });
  }

  tokens() {
    const { generation } = this;
    return {
      access_token: `access-${generation}`,
      access_expires_in_ms: 600_000,
      refresh_token: `refresh-${generation}`,
    };
  }

  usual({ path, method, headers, body }: Call): Response {
    switch (`${method} ${path}`) {
      case "POST /v1/users":
        return json(201, { user: USER, ...this.tokens() });
      case "POST /v1/auth/refresh":
        if ((body as { refresh_token: string }).refresh_token !== `refresh-${this.generation}`) {
          return problem(401, ErrorCode.REFRESH_REFUSED);
        }
        this.generation += 1;
        return json(200, this.tokens());
      case "GET /v1/me": {
        const isGood = headers["authorization"] === `Bearer access-${this.generation}`;
        return isGood ? json(200, USER) : problem(401, ErrorCode.UNAUTHENTICATED);
      }
      default:
        return json(204, null);
    }
  }

  #fetch(url: string, init: RequestInit): Promise<Response> {
    this.requests.push(init);
    if (this.failure !== null) {
      return this.failure(init);
    }
    const call = {
      method: init.method ?? "GET",
      path: url.replace("https://host", ""),
      body: init.body === undefined ? null : (JSON.parse(String(init.body)) as unknown),
      headers: init.headers as Record<string, string>,
    };
    this.calls.push(call);
    return Promise.resolve(this.answer(call));
  }
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(status === 204 || status === 304 ? null : JSON.stringify(body), { status, headers });
}

function problem(status: number, code: number, more: object = {}): Response {
  const document = { type: "/problems/x", title: "x", status, detail: "y", code, name: "X", ...more };
  return json(status, document, { "content-type": "application/problem+json" });
}

/** A challenge that any number solves. */
const CHALLENGE = { text: `AQABcT-z${"A".repeat(38)}`, searches: 2, work: 1, expires_in_ms: 600_000 };

function proofNeeded(): Response {
  return problem(428, ErrorCode.PROOF_NEEDED, { challenge: CHALLENGE });
}

function hasProof({ body }: Call): boolean {
  return Object.hasOwn(body as object, "proof");
}

function register(
  rest: FakeRest,
  storage = memoryStorage(),
  onProgress: (share: number) => void = () => undefined,
): Promise<NoWrong> {
  const { environment } = rest;
  return NoWrong.register({
    onProgress,
    url: "https://host/",
    name: "Ada",
    language: "en",
    ageBracket: "18+",
    storage,
    environment,
  });
}

describe("accounts", () => {
  it("are registered in the names of the wire, and read in those of TypeScript", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    expect(rest.calls[0]?.body).toEqual({ name: "Ada", language: "en", interests: [], age_bracket: "18+" });
    expect(client.user).toEqual({
      id: "u",
      name: "Ada",
      language: "en",
      interests: [],
      ageBracket: "18+",
      expiresAtMs: 9,
    });
  });

  it("are made with a proof of work where the server asks for one, under the same key", async () => {
    const rest = new FakeRest();
    rest.answer = (call) => (hasProof(call) ? rest.usual(call) : proofNeeded());
    const shares: number[] = [];
    const client = await register(rest, memoryStorage(), (share) => shares.push(share));
    expect(client.user.name).toBe("Ada");
    const [asked, solved, ...more] = rest.calls;
    expect(more).toEqual([]);
    expect(solved?.headers).toEqual(asked?.headers);
    expect(solved?.body).toEqual({
      ...(asked?.body as object),
      proof: expect.stringMatching(/^AQABcT-zA{38}\.[\w-]{11}$/) as string,
    });
    expect([shares[0], shares.at(-1)]).toEqual([0, 1]);
  });

  it("send a proof that was made with every later attempt", async () => {
    const rest = new FakeRest();
    let failures = 1;
    rest.answer = (call) => {
      if (!hasProof(call)) {
        return proofNeeded();
      }
      return failures-- > 0 ? problem(503, ErrorCode.OVERLOADED) : rest.usual(call);
    };
    const made = register(rest);
    await vi.waitFor(() => expect(rest.calls).toHaveLength(2));
    await settle();
    await rest.environment.advance(1_000);
    await made;
    expect(rest.calls.map(hasProof)).toEqual([false, true, true]);
  });

  it("are given up when the server likes no proof", async () => {
    const rest = new FakeRest();
    rest.answer = proofNeeded;
    await expect(register(rest)).rejects.toMatchObject({ codeName: "PROOF_NEEDED", name: "RequestError" });
    expect(rest.calls).toHaveLength(4);
  });

  it("are refused by a challenge that this version cannot solve", async () => {
    const rest = new FakeRest();
    rest.answer = () => problem(428, ErrorCode.PROOF_NEEDED, { challenge: { ...CHALLENGE, searches: 3 } });
    await expect(register(rest)).rejects.toMatchObject({ codeName: "PROOF_NEEDED" });
    expect(rest.calls).toHaveLength(1);
  });

  it("are made and erased though the storage takes nothing, and lost with the page alone", async () => {
    const rest = new FakeRest();
    const full = () => {
      throw new Error("the quota is exceeded");
    };
    const client = await register(rest, { load: () => null, save: full });
    expect((await client.me()).name).toBe("Ada");
    const connection = client.connect();
    await client.delete();
    expect(connection.state).toBe("closed");
    await expect(client.me()).rejects.toMatchObject({ code: ErrorCode.UNAUTHENTICATED });
    expect(rest.calls.map(({ method }) => method)).toContain("DELETE");
  });

  it("are recovered with a code, and keep the new tokens", async () => {
    const rest = new FakeRest();
    rest.answer = (call) => {
      switch (`${call.method} ${call.path}`) {
        case "POST /v1/me/recovery":
          return json(201, { recovery_code: "0000-000*" });
        case "POST /v1/auth/recover":
          rest.generation = 5;
          return json(200, { user: USER, ...rest.tokens() });
        default:
          return rest.usual(call);
      }
    };
    const client = await register(rest);
    expect(await client.createRecoveryCode()).toBe("0000-000*");
    await client.deleteRecoveryCode();
    expect(rest.calls.at(-1)).toMatchObject({ method: "DELETE", path: "/v1/me/recovery" });
    const storage = memoryStorage();
    const { environment } = rest;
    const again = await NoWrong.recover("0000 000*", { url: "https://host", storage, environment });
    expect(rest.calls.at(-1)?.body).toEqual({ recovery_code: "0000 000*" });
    expect(again.user.name).toBe("Ada");
    expect((await again.me()).name).toBe("Ada");
    expect(storage.load()).toMatchObject({ refreshToken: "refresh-5" });
  });

  it("log out with the newest token, here or everywhere, and forget it", async () => {
    for (const everywhere of [false, true]) {
      const rest = new FakeRest();
      const storage = memoryStorage();
      const client = await register(rest, storage);
      const connection = client.connect();
      // Another tab has renewed the tokens meanwhile.
      await storage.save({ accessToken: "a", accessExpiresAtMs: 0, refreshToken: "refresh-7" });
      await (everywhere ? client.logOutEverywhere() : client.logOut());
      expect(rest.calls.at(-1)).toMatchObject({
        method: "POST",
        path: "/v1/auth/logout",
        body: { refresh_token: "refresh-7", everywhere },
      });
      expect(storage.load()).toBeNull();
      expect(connection.state).toBe("closed");
      await expect(client.me()).rejects.toMatchObject({ code: ErrorCode.UNAUTHENTICATED });
      const count = rest.calls.length;
      await client.logOut();
      expect(rest.calls).toHaveLength(count);
    }
  });

  it("log out only after a renewal that is under way, whose tokens would be kept otherwise", async () => {
    const rest = new FakeRest();
    const storage = memoryStorage();
    const client = await register(rest, storage);
    await rest.environment.advance(600_000);
    const asked = client.me();
    await client.logOut();
    expect(rest.calls.at(-1)?.body).toEqual({ refresh_token: "refresh-2", everywhere: false });
    expect(storage.load()).toBeNull();
    await asked.catch(() => undefined);
    expect(storage.load()).toBeNull();
  });

  it("stay logged in when the server cannot be reached to log out", async () => {
    const rest = new FakeRest();
    const storage = memoryStorage();
    const client = await register(rest, storage);
    const connection = client.connect();
    rest.failure = () => Promise.reject(new TypeError("no network"));
    await expect(client.logOut()).rejects.toMatchObject({ codeName: "NETWORK" });
    expect(storage.load()).not.toBeNull();
    expect(connection.state).not.toBe("closed");
  });

  it("are registered under a key, which is another one for other fields and for another server", async () => {
    const rest = new FakeRest();
    const { environment } = rest;
    rest.answer = () => new Response("busy", { status: 503 });
    const key = async (url: string, name: string) => {
      const options = { url, name, language: "en", ageBracket: "18+", environment } as const;
      const failed = expect(NoWrong.register(options)).rejects.toMatchObject({ codeName: "NETWORK" });
      await environment.advance(60_000);
      await failed;
      return rest.calls.at(-1)?.headers["idempotency-key"];
    };
    const first = await key("https://host", "Ada");
    expect(first).toMatch(/^[!-~]{16,64}$/);
    const elsewhere = await key("https://other", "Ada");
    const renamed = await key("https://other", "Eve");
    expect(new Set([first, elsewhere, renamed]).size).toBe(3);
    expect(await key("https://other/", "Eve")).toBe(renamed);
  });

  it.each([200, 299])("are read from a reply with the status %d", async (status) => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = () => json(status, USER);
    expect((await client.me()).name).toBe("Ada");
  });

  it("are restored from the storage, and only then", async () => {
    const rest = new FakeRest();
    const storage = memoryStorage();
    const options = { url: "https://host", storage, environment: rest.environment };
    expect(await NoWrong.restore(options)).toBeNull();
    await register(rest, storage);
    expect((await NoWrong.restore(options))?.user.name).toBe("Ada");
  });

  it("renew their tokens before they lapse, once for many calls", async () => {
    const rest = new FakeRest();
    const storage = memoryStorage();
    const client = await register(rest, storage);
    rest.environment.time += 571_000;
    await Promise.all([client.me(), client.me(), client.me()]);
    expect(rest.calls.filter((call) => call.path === "/v1/auth/refresh")).toHaveLength(1);
    expect((await storage.load())?.refreshToken).toBe("refresh-2");
  });

  it("renew a token that is refused early, and give up when that is refused too", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = (call) =>
      call.headers["authorization"] === "Bearer access-1"
        ? problem(401, ErrorCode.UNAUTHENTICATED)
        : rest.usual(call);
    expect((await client.me()).name).toBe("Ada");
    rest.answer = () => problem(401, ErrorCode.UNAUTHENTICATED);
    await expect(client.me()).rejects.toMatchObject({ codeName: "UNAUTHENTICATED" });
  });

  it("take the tokens of another tab rather than use a refresh token twice", async () => {
    const rest = new FakeRest();
    const storage = memoryStorage();
    const one = await register(rest, storage);
    const two = await NoWrong.restore({ url: "https://host", storage, environment: rest.environment });
    rest.environment.time += 571_000;
    await one.me();
    await two?.me();
    expect(rest.calls.filter((call) => call.path === "/v1/auth/refresh")).toHaveLength(1);
  });

  it("hold their open connections, and forget those that were closed", async () => {
    const client = await register(new FakeRest());
    const [first, second] = [client.connect(), client.connect()];
    first.close();
    const closes = [first, second].map((connection) => vi.spyOn(connection, "close"));
    client.close();
    client.close();
    expect(closes.map((close) => close.mock.calls.length)).toEqual([0, 1]);
    expect(second.state).toBe("closed");
  });

  it("hold a connection that has become ready", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    const endpoint = { webtransport: null, websocket: "wss://host/ws" };
    rest.answer = () => json(200, { connect_token: "once", endpoint });
    const connection = client.connect();
    await rest.environment.advance(0);
    const [socket] = rest.environment.sockets;
    socket?.open();
    await settle();
    socket?.say(welcome());
    expect(connection.state).toBe("ready");
    client.close();
    expect(connection.state).toBe("closed");
  });

  it("are erased with their tokens", async () => {
    const rest = new FakeRest();
    const storage = memoryStorage();
    const client = await register(rest, storage);
    await client.delete();
    expect(await storage.load()).toBeNull();
  });
});

describe("an account", () => {
  it("is asked for and changed with the access token, in the names of the wire", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = () => json(200, { ...USER, name: "Eve" });
    const changed = await client.update({ name: "Eve", interests: ["jazz"] });
    expect(rest.calls.at(-1)).toMatchObject({
      method: "PATCH",
      path: "/v1/me",
      body: { name: "Eve", interests: ["jazz"] },
      headers: { authorization: "Bearer access-1", "content-type": "application/json" },
    });
    expect([changed.name, client.user.name]).toEqual(["Eve", "Eve"]);
    rest.answer = () => json(200, { ...USER, name: "Fay" });
    expect((await client.me()).name).toBe("Fay");
    expect(client.user.name).toBe("Fay");
    expect(rest.calls.at(-1)).toMatchObject({ method: "GET", body: null });
    expect(rest.calls.at(-1)?.headers).not.toHaveProperty("content-type");
  });

  it("is registered with the interests that are given, in the browser's language", async () => {
    const rest = new FakeRest();
    vi.stubGlobal("navigator", { language: "pt-BR" });
    const options = { name: "Ada", ageBracket: "18+", interests: ["jazz"] } as const;
    await NoWrong.register({ ...options, environment: rest.environment, url: "https://host" });
    vi.stubGlobal("navigator", undefined);
    await NoWrong.register({ ...options, environment: rest.environment, url: "https://host" });
    vi.unstubAllGlobals();
    expect(rest.calls.map(({ body }) => body)).toEqual([
      { name: "Ada", language: "pt-BR", interests: ["jazz"], age_bracket: "18+" },
      { name: "Ada", language: "en", interests: ["jazz"], age_bracket: "18+" },
    ]);
  });

  it("is at the origin of the page unless an address is given", async () => {
    const rest = new FakeRest();
    rest.answer = () => json(201, { user: USER, ...rest.tokens() });
    vi.stubGlobal("location", { origin: "https://page" });
    const { environment } = rest;
    await NoWrong.register({ name: "Ada", language: "en", ageBracket: "18+", environment });
    vi.stubGlobal("location", undefined);
    await NoWrong.register({ name: "Ada", language: "en", ageBracket: "18+", environment });
    vi.unstubAllGlobals();
    expect(rest.calls.map(({ path }) => path)).toEqual(["https://page/v1/users", "/v1/users"]);
  });

  it("is at an address that may end with slashes", async () => {
    const rest = new FakeRest();
    const { environment } = rest;
    const options = { name: "Ada", language: "en", ageBracket: "18+", environment } as const;
    await NoWrong.register({ ...options, url: "https://host//" });
    expect(rest.calls[0]?.path).toBe("/v1/users");
  });

  it("has its calls neither cached nor sent with cookies", async () => {
    const rest = new FakeRest();
    await register(rest);
    expect(rest.requests[0]).toMatchObject({ method: "POST", cache: "no-store", credentials: "omit" });
  });

  it("export what the server holds, in the names of TypeScript", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    const message = {
      position: { epoch: 1, seq: 1 },
      member: 0,
      client_message_id: "m",
      at_ms: 5,
      text: "hi",
    };
    const chat = { id: "c", shared_interests: ["jazz"], me: 0, messages: [message] };
    rest.answer = (call) =>
      call.path === "/v1/me/export" && call.method === "GET"
        ? json(200, { exported_at_ms: 7, user: USER, chat })
        : rest.usual(call);
    const data = await client.exportData();
    expect(data.exportedAtMs).toBe(7);
    expect(data.chat?.sharedInterests).toEqual(["jazz"]);
    expect(data.chat?.messages[0]).toMatchObject({ clientMessageId: "m", text: "hi" });
  });

  it("that is erased is erased on the server, and its connections are closed", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    const connection = client.connect();
    await client.delete();
    expect(rest.calls.filter(({ method }) => method === "DELETE")).toMatchObject([{ path: "/v1/me" }]);
    expect(connection.state).toBe("closed");
    await expect(client.me()).rejects.toMatchObject({ codeName: "UNAUTHENTICATED" });
  });

  it("closes its connections with `await using`", async () => {
    const client = await register(new FakeRest());
    const connection = client.connect();
    await client[Symbol.asyncDispose]();
    expect(connection.state).toBe("closed");
  });
});

describe("a connect token", () => {
  /** The addresses that a client tries when the server returns `endpoint`. */
  async function tried(endpoint: object, transports?: ("webtransport" | "websocket")[]) {
    const rest = new FakeRest();
    rest.environment.offerWebTransport();
    const client = await register(rest);
    rest.answer = (call) =>
      call.path === "/v1/connect" ? json(200, { connect_token: "once", endpoint }) : rest.usual(call);
    const connection = client.connect(transports === undefined ? {} : { transports });
    await rest.environment.advance(300);
    connection.close();
    const { sessions, sockets } = rest.environment;
    const [session] = sessions;
    return {
      rest,
      sessions: sessions.length,
      webtransport: session?.url,
      hashes: session?.options.serverCertificateHashes,
      websocket: sockets[0]?.url,
    };
  }
  const both = { webtransport: "https://host:4433/", websocket: "wss://host/ws" };

  it("is asked for with the access token, and says where the server is", async () => {
    const { rest, sessions, ...found } = await tried({
      ...both,
      certificate_hash: btoa("\u0001\u0002\u00ff"),
    });
    expect(sessions).toBe(1);
    expect(found).toEqual({
      ...both,
      hashes: [{ algorithm: "sha-256", value: Uint8Array.of(1, 2, 255) }],
    });
    const call = rest.calls.find(({ path }) => path === "/v1/connect");
    expect(call).toMatchObject({ method: "POST", headers: { authorization: "Bearer access-1" } });
  });

  it("has no hash where the certificate is one of a public authority", async () => {
    for (const hash of [{}, { certificate_hash: null }]) {
      expect(await tried({ ...both, ...hash })).toMatchObject({ ...both, hashes: undefined });
    }
  });

  it.each([{ webtransport: "" }, { webtransport: null }, { webtransport: undefined }])(
    "has no address where the server names none: %o",
    async (none) => {
      const found = await tried({ ...both, ...none });
      expect([found.sessions, found.websocket]).toEqual([0, both.websocket]);
    },
  );

  it("is tried over the transports that are allowed", async () => {
    const found = await tried(both, ["websocket"]);
    expect([found.webtransport, found.websocket]).toEqual([undefined, both.websocket]);
  });
});

describe("failures", () => {
  it("come when the server does not answer in 15 s, and the call is aborted", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.failure = (init) =>
      new Promise((_, reject) => {
        init.signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    const failed = expect(client.me()).rejects.toMatchObject({
      codeName: "TIMEOUT",
      message: "The server did not answer in time.",
    });
    await rest.environment.advance(14_999);
    expect(rest.requests.at(-1)?.signal?.aborted).toBe(false);
    await rest.environment.advance(1);
    await failed;
    expect(rest.environment.timers).toBe(0);
  });

  it.each([200, 502])("come when the body of a reply with %d does not end in 15 s", async (status) => {
    const rest = new FakeRest();
    const client = await register(rest);
    const head = { status, headers: { "content-length": "400", "content-type": "application/json" } };
    const body = () =>
      new ReadableStream({ start: (sink) => sink.enqueue(new TextEncoder().encode('{"access_token":')) });
    rest.answer = () => new Response(body(), head);
    const failed = expect(client.me()).rejects.toMatchObject({ codeName: "TIMEOUT", isTemporary: true });
    await rest.environment.advance(14_999);
    expect(rest.requests.at(-1)?.signal?.aborted).toBe(false);
    await rest.environment.advance(1);
    await failed;
    expect(rest.requests.at(-1)?.signal?.aborted).toBe(true);
    expect(rest.environment.timers).toBe(0);
  });

  it("of a body do not keep a connection from trying again", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    const endless = () => new Response(new ReadableStream(), { status: 200 });
    rest.answer = (call) => (call.path === "/v1/connect" ? endless() : rest.usual(call));
    const connection = client.connect();
    await rest.environment.advance(15_000);
    expect(connection.failure).toMatchObject({ error: { codeName: "TIMEOUT" }, transport: null });
    await rest.environment.advance(1_000);
    expect(rest.calls.filter(({ path }) => path === "/v1/connect")).toHaveLength(2);
  });

  it("of the network keep its reason", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    const cause = new TypeError("fetch failed");
    rest.failure = () => Promise.reject(cause);
    const message = "The server cannot be reached.";
    await expect(client.me()).rejects.toMatchObject({ codeName: "NETWORK", message, cause });
    expect(rest.environment.timers).toBe(0);
  });

  it.each([
    ["is no JSON", "no JSON"],
    ["is null", "null"],
    ["is a string", `"code"`],
    ["has no code", "{}"],
  ])("whose document %s say the status", async (_, text) => {
    const rest = new FakeRest();
    const client = await register(rest);
    const headers = { "content-type": "application/problem+json" };
    rest.answer = () => new Response(text, { status: 418, headers });
    await expect(client.me()).rejects.toMatchObject({
      codeName: "NETWORK",
      message: expect.stringContaining("418"),
    });
  });

  it("whose document has fields of other types lack those", async () => {
    const rest = new FakeRest();
    rest.answer = () => problem(409, ErrorCode.NAME_TAKEN, { detail: 5, errors: "x", retry_after_ms: "y" });
    const bare = { codeName: "NAME_TAKEN", detail: "", fields: [], retryAfterMs: 0 };
    await expect(register(rest)).rejects.toMatchObject(bare);
  });

  it.each([
    ["7", 7],
    ["-1", 0],
    ["1e999", 0],
    [`"7"`, 0],
    ["null", 0],
  ])("are waited for as long as the document says, if it is a wait: %s", async (wait, retryAfterMs) => {
    const rest = new FakeRest();
    const text = `{"code":${ErrorCode.NAME_TAKEN},"retry_after_ms":${wait}}`;
    const headers = { "content-type": "application/problem+json" };
    rest.answer = () => new Response(text, { status: 409, headers });
    await expect(register(rest)).rejects.toMatchObject({ codeName: "NAME_TAKEN", retryAfterMs });
  });

  it.each([100, 599])("are the server's word from the first code to the last: %d", async (code) => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = () => problem(503, code);
    await expect(client.me()).rejects.toMatchObject({ name: "RequestError", code });
  });

  it("other than a refused access token are not tried again", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = () => problem(429, ErrorCode.RATE_LIMITED);
    await expect(client.me()).rejects.toMatchObject({ codeName: "RATE_LIMITED" });
    rest.failure = () => Promise.reject(new TypeError("fetch failed"));
    await expect(client.me()).rejects.toMatchObject({ codeName: "NETWORK" });
    expect(rest.calls.filter(({ path }) => path === "/v1/me")).toHaveLength(1);
    expect(rest.requests).toHaveLength(3);
  });

  it("carry the code, the fields and the time to wait", async () => {
    const rest = new FakeRest();
    const errors = [{ field: "name", detail: "too short" }];
    rest.answer = () => problem(422, ErrorCode.INVALID, { errors, retry_after_ms: 7 });
    const failure = await register(rest).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RequestError);
    expect(failure).toMatchObject({
      codeName: "INVALID",
      detail: "y",
      fields: errors,
      retryAfterMs: 7,
      isTemporary: false,
    });
  });

  const PROBLEM = "application/problem+json";
  it.each([
    [
      "a gateway's JSON with a member code",
      503,
      "application/json",
      { code: 14, message: "no healthy upstream" },
    ],
    ["a gateway's JSON with a word for a code", 503, "application/json", { code: "unavailable" }],
    ["a limiter's JSON with the status for a code", 429, "application/json", { code: 429 }],
    ["a code of ours in a document of another type", 401, "application/json", { code: 202 }],
    ["a code of ours in a type that ends like ours", 401, `x-${PROBLEM}`, { code: 202 }],
    ["a code of ours in a type that begins like ours", 401, `${PROBLEM}p`, { code: 202 }],
    ["a stranger's problem document", 503, PROBLEM, { code: 14 }],
    ["a problem document with a code between ours", 503, PROBLEM, { code: 202.5 }],
    ["a problem document with a code beyond ours", 503, PROBLEM, { code: 600 }],
    ["a problem document with the text of a code", 401, PROBLEM, { code: "202" }],
    ["a problem document without a code", 500, `${PROBLEM}; charset=utf-8`, { title: "x" }],
    ["a problem document that is a list", 500, PROBLEM, [202]],
  ])("by something in between never end a connection: %s", async (_, status, type, document) => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = (call) =>
      call.path === "/v1/connect" ? json(status, document, { "content-type": type }) : rest.usual(call);
    const connection = client.connect();
    await rest.environment.advance(0);
    expect(connection.state).toBe("connecting");
    expect(connection.failure).toMatchObject({ error: { codeName: "NETWORK" }, transport: null });
    expect(connection.failure?.error.message).toContain(String(status));
    await rest.environment.advance(1_000);
    expect(rest.calls.filter(({ path }) => path === "/v1/connect").length).toBeGreaterThan(1);
    connection.close();
  });

  it.each([
    ["7", 7_000],
    ["86400", 300_000],
    ["Wed, 21 Oct 2026 07:28:00 GMT", 0],
    ["-1", 0],
    ["7 s", 0],
  ])("by something in between are waited for as long as they ask: %s", async (header, retryAfterMs) => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = () => new Response("busy", { status: 429, headers: { "retry-after": header } });
    await expect(client.me()).rejects.toMatchObject({ codeName: "NETWORK", retryAfterMs });
  });

  it("are known when the problem document comes with parameters", async () => {
    const rest = new FakeRest();
    const headers = { "content-type": "Application/Problem+JSON; charset=utf-8" };
    rest.answer = () => json(409, { code: ErrorCode.NAME_TAKEN, errors: [null, 5] }, headers);
    await expect(register(rest)).rejects.toMatchObject({ codeName: "NAME_TAKEN", fields: [] });
  });

  it("to read a good reply are failures of the network: a login page in between", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = () => new Response("<h1>Welcome to our hotel</h1>", { status: 200 });
    await expect(client.me()).rejects.toMatchObject({
      codeName: "NETWORK",
      message: "The reply is not JSON: something in between replied for the server.",
      cause: expect.any(SyntaxError),
    });
  });

  it("without a problem document are failures of the network", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = () => new Response("<h1>Bad gateway</h1>", { status: 502 });
    await expect(client.me()).rejects.toMatchObject({ codeName: "NETWORK", isTemporary: true });
  });
});

describe("categories", () => {
  it("are fetched with the tag of the last answer", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    const category = {
      id: "music",
      title: "Music",
      age_bracket: null,
      titles: { de: "Musik" },
      online: 2,
      waiting: 1,
    };
    rest.answer = ({ headers }) =>
      headers["if-none-match"] === '"1"'
        ? json(304, null)
        : json(200, { categories: [category] }, { etag: '"1"' });
    const first = await client.categories();
    expect(first[0]).toMatchObject({ id: "music", ageBracket: null, titles: { de: "Musik" } });
    expect(await client.categories()).toBe(first);
  });

  it("are fetched again when the last answer had no tag, or the tag has changed", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    let etag: Record<string, string> = {};
    rest.answer = () => json(200, { categories: [] }, etag);
    await client.categories();
    expect(rest.calls.at(-1)).toMatchObject({ method: "GET", path: "/v1/categories", headers: {} });
    await client.categories();
    expect(rest.calls.at(-1)?.headers).toEqual({});
    etag = { etag: '"2"' };
    const second = await client.categories();
    const third = await client.categories();
    expect(rest.calls.at(-1)?.headers).toEqual({ "if-none-match": '"2"' });
    expect(third).not.toBe(second);
  });

  it("reported as unchanged without a tag in the request are a failure", async () => {
    const rest = new FakeRest();
    const client = await register(rest);
    rest.answer = () => json(304, null);
    await expect(client.categories()).rejects.toMatchObject({ codeName: "NETWORK" });
  });
});
