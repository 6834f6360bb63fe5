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
import { underPolicy } from "../link/policy.js";
import { ProofNeededError, readChallenge } from "../proof/needed.js";
import type { OnProgress } from "../proof/solve.js";
import { type Camel, toCamel, toSnake } from "./camel.js";
import { sendUntilKnown } from "./registration.js";
import { type StoredTokens, type TokenStorage, Tokens } from "./tokens.js";

type Json<Content> = Content extends { content: { "application/json": infer Body } } ? Body : never;
type Registered = Json<paths["/v1/users"]["post"]["responses"][201]>;
type TokenReply = Json<paths["/v1/auth/refresh"]["post"]["responses"][200]>;
type RecoveryCode = Json<paths["/v1/me/recovery"]["post"]["responses"][201]>;
type Connected = Json<paths["/v1/connect"]["post"]["responses"][200]>;

/** What a person enters to get an account. */
export type Registration = Omit<Camel<Json<NonNullable<paths["/v1/users"]["post"]["requestBody"]>>>, "proof">;

/** The parts of an account that can be changed. */
export type UserChange = Camel<Json<NonNullable<paths["/v1/me"]["patch"]["requestBody"]>>>;

/** An anonymous account. */
export type User = Camel<Json<paths["/v1/me"]["get"]["responses"][200]>>;

/** What the server holds of an account. */
export type AccountData = Camel<Json<paths["/v1/me/export"]["get"]["responses"][200]>>;

/** A topic that people are matched in, with the number of people there. */
export type Category = Camel<Json<paths["/v1/categories"]["get"]["responses"][200]>>["categories"][number];

/** Decides who may meet whom. No stage of the matching widens it. */
export type AgeBracket = Registration["ageBracket"];

/** Proofs that are made for one registration: more than one when the network changes or a challenge expires meanwhile. */
const PROOFS_MAX = 3;

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
   * minute. Does the work that the server asks for, and tells `onProgress` how much of it is done.
   */
  async register(registration: Registration, onProgress: OnProgress): Promise<User> {
    const body = toSnake(registration);
    const request = JSON.stringify([this.#url, body]);
    // Of an earlier attempt: it goes with every later one.
    let proof: string | null = null;
    const attempt = async (key: string): Promise<Registered> => {
      for (let made = 0; ; made++) {
        try {
          return await this.#registerOnce(body, key, proof);
        } catch (error) {
          if (!(error instanceof ProofNeededError) || made === PROOFS_MAX) {
            throw error;
          }
          proof = await this.#solve(error, key, onProgress);
        }
      }
    };
    const reply = await sendUntilKnown(request, this.#environment, attempt);
    await this.#tokens.keep(this.#stored(reply));
    return toCamel(reply.user);
  }

  /** Gets the account of a recovery code and keeps its new tokens; all others are revoked. */
  async recover(recoveryCode: string): Promise<User> {
    const body = { recovery_code: recoveryCode };
    const reply = await this.#json<Registered>({ method: "POST", path: "/v1/auth/recover", body });
    await this.#tokens.keep(this.#stored(reply));
    return toCamel(reply.user);
  }

  /** A new recovery code, in place of the one before. */
  async createRecoveryCode(): Promise<string> {
    const reply = await this.#authorized<RecoveryCode>({ method: "POST", path: "/v1/me/recovery" });
    return reply.recovery_code;
  }

  /** Removes the recovery code, if there is one. */
  async deleteRecoveryCode(): Promise<void> {
    await this.#authorized({ method: "DELETE", path: "/v1/me/recovery" });
  }

  /** The account. */
  async me(): Promise<User> {
    return toCamel(await this.#authorized({ method: "GET", path: "/v1/me" }));
  }

  /** Changes the account. */
  async update(change: UserChange): Promise<User> {
    return toCamel(await this.#authorized({ method: "PATCH", path: "/v1/me", body: toSnake(change) }));
  }

  /** What the server holds of the account. */
  async exportData(): Promise<AccountData> {
    return toCamel(await this.#authorized({ method: "GET", path: "/v1/me/export" }));
  }

  /** Erases the account and forgets its tokens. */
  async deleteMe(): Promise<void> {
    await this.#authorized({ method: "DELETE", path: "/v1/me" });
    await this.#tokens.forget();
  }

  /**
   * Logs this device out, or `everywhere`, and forgets the tokens. Nothing changes when the server cannot be
   * reached.
   */
  async logOut(everywhere: boolean): Promise<void> {
    const refreshToken = await this.#tokens.newest();
    if (refreshToken !== null) {
      const body = { refresh_token: refreshToken, everywhere };
      await this.#json({ method: "POST", path: "/v1/auth/logout", body });
    }
    await this.#tokens.forget();
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
      readJson<Json<paths["/v1/categories"]["get"]["responses"][200]>>(response),
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

  #registerOnce(body: object, key: string, proof: string | null): Promise<Registered> {
    return this.#json<Registered>({
      method: "POST",
      path: "/v1/users",
      body: proof === null ? body : { ...body, proof },
      headers: { "idempotency-key": key },
    });
  }

  async #solve({ challenge }: ProofNeededError, key: string, onProgress: OnProgress): Promise<string> {
    const part = await import("../proof/solve.js").catch((cause: unknown) => {
      throw new NetworkError("A part of the page could not be loaded.", { cause });
    });
    return part.solve(challenge, key, this.#environment, onProgress);
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

  /** The whole reply, its body included, within the deadline. */
  async #fetch(call: Call): Promise<WholeReply> {
    const url = this.#url + call.path;
    const abort = new AbortController();
    let unschedule: () => void = () => undefined;
    const late = new Promise<never>((_, reject) => {
      unschedule = this.#environment.schedule(REPLY_DEADLINE_MS, () => {
        reject(new TimeoutError("The server did not answer in time."));
        abort.abort();
      });
    });
    try {
      const reply = () => underPolicy(this.#environment, url, () => this.#exchange(url, call, abort.signal));
      return await Promise.race([reply(), late]);
    } catch (cause) {
      throw toRestError(cause);
    } finally {
      unschedule();
    }
  }

  async #exchange(url: string, call: Call, signal: AbortSignal): Promise<WholeReply> {
    const response = await this.#environment.fetch(url, {
      method: call.method,
      headers: {
        ...call.headers,
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      cache: "no-store",
      credentials: "omit",
      signal,
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  }
}

/** A reply that has come whole. */
interface WholeReply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

function toRestError(cause: unknown): NoWrongError {
  const isOurs = cause instanceof NetworkError || cause instanceof TimeoutError;
  return isOurs ? cause : new NetworkError("The server cannot be reached.", { cause });
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

function readJson<Content>({ status, headers, text }: WholeReply): Content {
  if (status < 200 || status > 299) {
    throw problem(status, headers, text);
  }
  try {
    return (text === "" ? null : JSON.parse(text)) as Content;
  } catch (cause) {
    throw new NetworkError("The reply is not JSON: something in between replied for the server.", { cause });
  }
}

/**
 * The problem document (RFC 9457) of a failed call as an error. Only such a document with one of our codes is
 * the server's word. Anything else may come from whatever is in between (a proxy, a gateway, a network that
 * wants a login): then the status says what went wrong, and a later attempt may reach the server.
 */
function problem(status: number, headers: Headers, text: string): NoWrongError {
  const isProblem = /^application\/problem\+json\s*(;|$)/i.test(headers.get("content-type") ?? "");
  const document = isProblem ? parseObject(text) : null;
  const code = document?.["code"];
  if (document === null || !isErrorCode(code)) {
    const retryAfterMs = 1_000 * retryAfterSeconds(headers.get("retry-after"));
    const message = `Not the server itself, but something in between replied with the status ${status}.`;
    return new NetworkError(message, { retryAfterMs });
  }
  const { detail, errors, retry_after_ms: retryAfterMs } = document;
  const challenge = readChallenge(document["challenge"]);
  const failure = {
    code,
    detail: typeof detail === "string" ? detail : "",
    retryAfterMs: isWait(retryAfterMs) ? retryAfterMs : 0,
    fields: Array.isArray(errors) ? errors.filter(isObject).map(fieldError) : [],
  };
  return challenge === null ? new RequestError(failure) : new ProofNeededError(failure, challenge);
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Codes of the ranges that are published: 100 to 499 are permanent, 500 to 599 temporary. */
function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "number" && Number.isInteger(code) && code >= 100 && code <= 599;
}

/** Waits that a stranger asks for are obeyed up to this. */
const RETRY_AFTER_MAX_S = 300;

/** The header `Retry-After` in seconds, as a number only; 0 when it says nothing of use. */
function retryAfterSeconds(header: string | null): number {
  const seconds = /^\d{1,9}$/.test(header ?? "") ? Number(header) : 0;
  return Math.min(seconds, RETRY_AFTER_MAX_S);
}

function isWait(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function fieldError({ field, detail }: Record<string, unknown>): { field: string; detail: string } {
  return { field: String(field), detail: String(detail) };
}
