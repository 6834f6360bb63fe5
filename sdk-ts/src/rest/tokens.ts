/**
 * The tokens of an account: where they are kept, and how they stay fresh.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { RequestError } from "../error.js";
import { ErrorCode } from "../generated/code.js";

/** Tokens as they are stored. The refresh token is as good as the account: keep it secret. */
export interface StoredTokens {
  /** Sent with each request; valid until {@link StoredTokens.accessExpiresAtMs}. */
  readonly accessToken: string;
  /** Milliseconds since the Unix epoch. */
  readonly accessExpiresAtMs: number;
  /** Exchanged for new tokens. The one before it still works until this one was exchanged. */
  readonly refreshToken: string;
}

/** Where tokens are kept between visits. */
export interface TokenStorage {
  /** Returns the tokens that were saved last; `null` when there are none. */
  load(): StoredTokens | null | Promise<StoredTokens | null>;
  /** Stores `tokens`; `null` deletes them. The write is complete when this returns or resolves. */
  save(tokens: StoredTokens | null): void | Promise<void>;
}

/** Keeps tokens in memory: they are lost when the page is closed. */
export function memoryStorage(): TokenStorage {
  let kept: StoredTokens | null = null;
  return {
    load: () => kept,
    save: (tokens) => {
      kept = tokens;
    },
  };
}

/**
 * Keeps tokens in `localStorage` (one account for all tabs of a browser) or `sessionStorage` (one for
 * each tab). They survive a reload, and every script of the origin can read them.
 *
 * @example
 * const client = await NoWrong.restore({ url, storage: webTokenStorage(localStorage) });
 */
export function webTokenStorage(area: Storage, key = "nowrong.tokens"): TokenStorage {
  return {
    load: () => {
      try {
        return parseTokens(area.getItem(key));
      } catch {
        return null; // Not JSON: another program wrote it.
      }
    },
    save: (tokens) => {
      if (tokens === null) {
        area.removeItem(key);
      } else {
        area.setItem(key, JSON.stringify(tokens));
      }
    },
  };
}

function parseTokens(text: string | null): StoredTokens | null {
  const value: unknown = JSON.parse(text ?? "null");
  if (typeof value !== "object" || value === null) {
    return null;
  }
  const { accessToken, accessExpiresAtMs, refreshToken } = value as Partial<
    Record<keyof StoredTokens, unknown>
  >;
  const isWhole = typeof accessToken === "string" && typeof accessExpiresAtMs === "number";
  return isWhole && typeof refreshToken === "string"
    ? { accessToken, accessExpiresAtMs, refreshToken }
    : null;
}

/** An access token is renewed this long before it expires: longer than a request takes. */
const RENEW_BEFORE_MS = 30_000;

/** The tokens of one client, renewed as needed, with one renewal at a time. */
export class Tokens {
  readonly #storage: TokenStorage;
  readonly #environment: Environment;
  readonly #refresh: (refreshToken: string) => Promise<StoredTokens>;
  #tokens: StoredTokens | null = null;
  #renewal: Promise<string> | null = null;

  constructor(
    storage: TokenStorage,
    environment: Environment,
    refresh: (refreshToken: string) => Promise<StoredTokens>,
  ) {
    this.#storage = storage;
    this.#environment = environment;
    this.#refresh = refresh;
  }

  /** Loads the tokens from the storage; returns whether there were any. */
  async load(): Promise<boolean> {
    this.#tokens = await this.#storage.load();
    return this.#tokens !== null;
  }

  /** Keeps `tokens`, here and in the storage; `null` deletes them. */
  async save(tokens: StoredTokens | null): Promise<void> {
    this.#tokens = tokens;
    await this.#storage.save(tokens);
  }

  /**
   * As {@link Tokens.save}, but goes on in memory when the storage fails: the tokens are good, and the account
   * lasts as long as the page at least. A reload finds the newest tokens that the storage took, and those can
   * still be exchanged, because {@link Tokens.access} never exchanges newer ones than these.
   */
  async keep(tokens: StoredTokens): Promise<void> {
    try {
      await this.save(tokens);
    } catch {
      // What the storage has stays as it is.
    }
  }

  /**
   * Forgets the tokens of an account that is gone, here and in the storage. A storage that fails keeps some
   * that are good for nothing any more.
   */
  async forget(): Promise<void> {
    try {
      await this.save(null);
    } catch {
      // The server refuses them.
    }
  }

  /** The newest refresh token, once no renewal is under way; `null` when there is none. */
  async newest(): Promise<string | null> {
    try {
      await this.#renewal;
    } catch {
      // The tokens are as they were.
    }
    const stored = this.#tokens === null ? null : await this.#storage.load();
    return (stored ?? this.#tokens)?.refreshToken ?? null;
  }

  /** Returns a valid access token. `refused` is a token that the server has refused. */
  async access(refused?: string): Promise<string> {
    const tokens = this.#tokens;
    if (tokens === null) {
      throw new RequestError({ code: ErrorCode.UNAUTHENTICATED });
    }
    const isFresh = tokens.accessExpiresAtMs - RENEW_BEFORE_MS > this.#environment.now();
    if (isFresh && tokens.accessToken !== refused) {
      return tokens.accessToken;
    }
    this.#renewal ??= this.#renew(tokens).finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #renew(old: StoredTokens): Promise<string> {
    // Another tab may have renewed them; or the storage has not taken ours, and a reload will bring the ones
    // that it has: exchanging newer ones would make those count as stolen.
    const stored = await this.#storage.load();
    const isNewer = stored !== null && stored.refreshToken !== old.refreshToken;
    if (isNewer && stored.accessExpiresAtMs - RENEW_BEFORE_MS > this.#environment.now()) {
      this.#tokens = stored;
      return stored.accessToken;
    }
    const fresh = await this.#refresh((isNewer ? stored : old).refreshToken);
    await this.keep(fresh);
    return fresh.accessToken;
  }
}
