import { describe, expect, it, vi } from "vitest";
import { NoWrong } from "../client.js";
import { RequestError } from "../error.js";
import { ErrorCode } from "../generated/code.js";
import { FakeEnvironment } from "../testing/environment.js";
import { memoryStorage } from "./tokens.js";

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: Record<string, string>;
}

const USER = { id: "u", name: "Ada", language: "en", interests: [], age_bracket: "18+", expires_at_ms: 9 };

/** A server of which the test says what it answers. */
class FakeRest {
  readonly calls: Call[] = [];
  readonly environment: FakeEnvironment;
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
  return json(status, { type: "/problems/x", title: "x", status, detail: "y", code, name: "X", ...more });
}

function register(rest: FakeRest, storage = memoryStorage()): Promise<NoWrong> {
  const { environment } = rest;
  return NoWrong.register({
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

  it("are erased with their tokens", async () => {
    const rest = new FakeRest();
    const storage = memoryStorage();
    const client = await register(rest, storage);
    await client.delete();
    expect(await storage.load()).toBeNull();
  });
});

describe("failures", () => {
  it("carry the code, the fields and the time to wait", async () => {
    const rest = new FakeRest();
    const errors = [{ field: "name", detail: "too short" }];
    rest.answer = () => problem(422, ErrorCode.INVALID, { errors, retry_after_ms: 7 });
    const failure = await register(rest).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RequestError);
    expect(failure).toMatchObject({
      codeName: "INVALID",
      fields: errors,
      retryAfterMs: 7,
      isTemporary: false,
    });
  });

  it("that are no problem document are the network's", async () => {
    const rest = new FakeRest();
    rest.answer = () => new Response("<h1>Bad gateway</h1>", { status: 502 });
    await expect(register(rest)).rejects.toMatchObject({ codeName: "NETWORK", isTemporary: true });
  });
});

describe("categories", () => {
  it("are asked for with the tag of the last answer", async () => {
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
});
