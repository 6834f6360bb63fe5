/**
 * The REST side: accounts, categories, connect tokens. Types come from `openapi.json`.
 *
 * @module
 */

import type { Grant } from "../connection/race.js";
import type { Environment } from "../environment.js";
import { NetworkError, type NoWrongError, RequestError, TimeoutError } from "../error.js";
import { ErrorCode } from "../generated/code.js";
import { REPLY_DEADLINE_MS } from "../generated/limits.js";
import type { paths } from "../generated/openapi.js";
import type { LinkAddress } from "../link/link.js";
import { type Camel, toCamel, toSnake } from "./camel.js";
import { sendUntilKnown } from "./registration.js";
import { type StoredTokens, type TokenStorage, Tokens } from "./tokens.js";

type Json<Content> = Content extends { content: { "application/json": infer Body } } ? Body : never;
type Registered = Json<paths["/v1/users"]["post"]["responses"][201]>;
type TokenReply = Json<paths["/v1/auth/refresh"]["post"]["responses"][200]>;
type Connected = Json<paths["/v1/connect"]["post"]["responses"][200]>;

/** What a person enters to get an account. */
export type Registration = Camel<Json<NonNullable<paths["/v1/users"]["post"]["requestBody"]>>>;

/** The parts of an account that can be changed. */
export type UserChange = Camel<Json<NonNullable<paths["/v1/me"]["patch"]["requestBody"]>>>;

/** An anonymous account. */
export type User = Camel<Json<paths["/v1/me"]["get"]["responses"][200]>>;

/** A topic that people are matched in, with the number of people there. */
export type Category = Camel<Json<paths["/v1/categories"]["get"]["responses"][200]>>["categories"][number];

/** Decides who may meet whom. No stage of the matching widens it. */
export type AgeBracket = Registration["ageBracket"];

interface Call {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The REST side of one server. */
export class RestApi {
  readonly #url: string;
  readonly #environment: Environment;
  readonly #tokens: Tokens;
  #categories: { readonly etag: string; readonly list: readonly Category[] } | null = null;

  /** `url` is the server's address; `storage` keeps the tokens. */
  constructor(url: string, environment: Environment, storage: TokenStorage) {
    this.#url = url.replace(/\/+$/, "");
    this.#environment = environment;
    this.#tokens = new Tokens(storage, environment, (refreshToken) => this.#refresh(refreshToken));
  }

  /** Loads the tokens from the storage; returns whether there were any. */
  restore(): Promise<boolean> {
    return this.#tokens.load();
  }

  /**
   * Creates an account and keeps its tokens. Repeats the request while its outcome is unknown, for about half a
   * minute.
   */
  async register(registration: Registration): Promise<User> {
    const body = toSnake(registration);
    const request = JSON.stringify([this.#url, body]);
    const reply = await sendUntilKnown(request, this.#environment, (key) =>
      this.#json<Registered>({
        method: "POST",
        path: "/v1/users",
        body,
        headers: { "idempotency-key": key },
      }),
    );
    await this.#tokens.keep(this.#stored(reply));
    return toCamel(reply.user);
  }

  /** The account. */
  async me(): Promise<User> {
    return toCamel(await this.#authorized({ method: "GET", path: "/v1/me" }));
  }

  /** Changes the account. */
  async update(change: UserChange): Promise<User> {
    return toCamel(await this.#authorized({ method: "PATCH", path: "/v1/me", body: toSnake(change) }));
  }

  /** Erases the account and forgets its tokens. */
  async deleteMe(): Promise<void> {
    await this.#authorized({ method: "DELETE", path: "/v1/me" });
    await this.#tokens.save(null);
  }

  /** The categories. The server says when the list that we have is still valid. */
  async categories(): Promise<readonly Category[]> {
    const known = this.#categories;
    const headers: Record<string, string> = known === null ? {} : { "if-none-match": known.etag };
    const response = await this.#fetch({ method: "GET", path: "/v1/categories", headers });
    if (response.status === 304 && known !== null) {
      return known.list;
    }
    const { categories } = toCamel(
      await readJson<Json<paths["/v1/categories"]["get"]["responses"][200]>>(response),
    );
    const etag = response.headers.get("etag");
    this.#categories = etag === null ? null : { etag, list: categories };
    return categories;
  }

  /** A connect token, and the addresses where it is valid. */
  async connect(): Promise<Grant> {
    const reply = await this.#authorized<Connected>({ method: "POST", path: "/v1/connect" });
    const { webtransport, websocket, certificate_hash: hash } = reply.endpoint;
    return {
      connectToken: reply.connect_token,
      webtransport: address(webtransport, hash ?? null),
      websocket: address(websocket, null),
    };
  }

  async #refresh(refreshToken: string): Promise<StoredTokens> {
    const body = { refresh_token: refreshToken };
    return this.#stored(await this.#json<TokenReply>({ method: "POST", path: "/v1/auth/refresh", body }));
  }

  #stored(reply: TokenReply): StoredTokens {
    return {
      accessToken: reply.access_token,
      accessExpiresAtMs: this.#environment.now() + reply.access_expires_in_ms,
      refreshToken: reply.refresh_token,
    };
  }

  /** A call with an access token. A token that is refused is renewed once. */
  async #authorized<Reply>(call: Call): Promise<Reply> {
    const token = await this.#tokens.access();
    try {
      return await this.#json<Reply>(withToken(call, token));
    } catch (error) {
      const isRefused = error instanceof RequestError && error.code === ErrorCode.UNAUTHENTICATED;
      if (!isRefused) {
        throw error;
      }
      return await this.#json<Reply>(withToken(call, await this.#tokens.access(token)));
    }
  }

  async #json<Reply>(call: Call): Promise<Reply> {
    return readJson<Reply>(await this.#fetch(call));
  }

  async #fetch(call: Call): Promise<Response> {
    const abort = new AbortController();
    const unschedule = this.#environment.schedule(REPLY_DEADLINE_MS, () => abort.abort());
    try {
      return await this.#environment.fetch(this.#url + call.path, {
        method: call.method,
        headers: {
          ...call.headers,
          ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        cache: "no-store",
        credentials: "omit",
        signal: abort.signal,
      });
    } catch (cause) {
      if (abort.signal.aborted) {
        throw new TimeoutError("The server did not answer in time.", { cause });
      }
      throw new NetworkError("The server cannot be reached.", { cause });
    } finally {
      unschedule();
    }
  }
}

function withToken(call: Call, token: string): Call {
  return { ...call, headers: { ...call.headers, authorization: `Bearer ${token}` } };
}

function address(url: string | null | undefined, hash: string | null): LinkAddress | null {
  if (url === null || url === undefined || url === "") {
    return null;
  }
  const certificateHash = hash === null ? null : Uint8Array.from(atob(hash), (byte) => byte.charCodeAt(0));
  return { url, certificateHash };
}

async function readJson<Reply>(response: Response): Promise<Reply> {
  if (!response.ok) {
    throw await problem(response);
  }
  const text = await response.text();
  return (text === "" ? null : JSON.parse(text)) as Reply;
}

/** The problem document (RFC 9457) of a failed call as an error. */
async function problem(response: Response): Promise<NoWrongError> {
  const document: unknown = await response.json().catch(() => null);
  if (typeof document !== "object" || document === null || !("code" in document)) {
    return new NetworkError(`The server answered with status ${response.status}.`);
  }
  const { code, detail, errors, retry_after_ms: retryAfterMs } = document as Record<string, unknown>;
  return new RequestError({
    code: Number(code),
    detail: typeof detail === "string" ? detail : "",
    retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : 0,
    fields: Array.isArray(errors) ? errors.map(fieldError) : [],
  });
}

function fieldError(value: unknown): { field: string; detail: string } {
  const { field, detail } = value as Record<string, unknown>;
  return { field: String(field), detail: String(detail) };
}
