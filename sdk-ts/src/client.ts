/**
 * The entry point: an anonymous account on one server.
 *
 * @module
 */

import { Connection } from "./connection/connection.js";
import { FailureMemory } from "./connection/race.js";
import { browserEnvironment, type Environment } from "./environment.js";
import type { TransportName } from "./link/link.js";
import {
  type AccountData,
  type AgeBracket,
  type Category,
  RestApi,
  type User,
  type UserChange,
} from "./rest/api.js";
import { memoryStorage, type TokenStorage } from "./rest/tokens.js";

/** Where the server is, and what the client runs on. */
export interface NoWrongOptions {
  /** Address of the server, such as `https://chat.example.org`. Default: the origin of the page. */
  readonly url?: string;
  /** Where tokens are kept between visits. Default: in memory, so that they are lost with the page. */
  readonly storage?: TokenStorage;
  /** Time, randomness and network. Default: those of the browser. */
  readonly environment?: Environment;
}

/** {@link NoWrongOptions}, and what a person enters to get an account. */
export interface RegisterOptions extends NoWrongOptions {
  /** 2 to 24 characters. No two users have names that look alike. */
  readonly name: string;
  /** A BCP 47 tag, such as `en` or `pt-BR`. Default: the language of the browser. */
  readonly language?: string;
  /** Topics to talk about, at most 10. */
  readonly interests?: readonly string[];
  /** Decides whom the user may meet. No stage of the matching widens it. */
  readonly ageBracket: AgeBracket;
  /**
   * Called with how much is done, from 0 to 1, while the device does the work that the server asks for: less than a second on
   * a slow phone in calm times. Never called when the server asks for none.
   */
  readonly onProgress?: (share: number) => void;
}

/** How to connect. */
export interface ConnectOptions {
  /** The transports to try, in the order of preference. Default: WebTransport, then WebSocket. */
  readonly transports?: readonly TransportName[];
}

/**
 * An anonymous account on one server.
 *
 * @example
 * const client = await NoWrong.register({ url, name: "Robin", ageBracket: "18+" });
 * const connection = client.connect();
 * const ticket = await connection.join("music");
 * const chat = await ticket.matched;
 * chat.send("hello");
 */
export class NoWrong {
  readonly #api: RestApi;
  readonly #environment: Environment;
  readonly #failures = new FailureMemory();
  readonly #connections = new Set<Connection>();
  #user: User;

  private constructor(api: RestApi, environment: Environment, user: User) {
    this.#api = api;
    this.#environment = environment;
    this.#user = user;
  }

  /**
   * Creates an account. The server erases it when it is not used for a day. It may ask that the device works a little
   * first: this runs in a worker where the page can start one, `worker-src 'self'` in its policy.
   *
   * @throws RequestError `NAME_TAKEN`, or `INVALID` with the fields that are invalid.
   */
  static async register(options: RegisterOptions): Promise<NoWrong> {
    const { api, environment } = open(options);
    const { name, interests, ageBracket } = options;
    const language = options.language ?? globalThis.navigator?.language ?? "en";
    const registration = { name, language, interests: [...(interests ?? [])], ageBracket };
    const user = await api.register(registration, options.onProgress ?? (() => undefined));
    return new NoWrong(api, environment, user);
  }

  /** The account whose tokens are in the storage; `null` when there are none. */
  static async restore(options: NoWrongOptions): Promise<NoWrong | null> {
    const { api, environment } = open(options);
    return (await api.restore()) ? new NoWrong(api, environment, await api.me()) : null;
  }

  /**
   * The account with this recovery code (see {@link NoWrong.createRecoveryCode}), as a person has typed it: case,
   * hyphens and spaces count for nothing. Everything else that is logged in to the account is logged out.
   *
   * @throws RequestError `REFRESH_REFUSED` when no account has this code, `INVALID` when it has a typing mistake.
   */
  static async recover(code: string, options: NoWrongOptions): Promise<NoWrong> {
    const { api, environment } = open(options);
    return new NoWrong(api, environment, await api.recover(code));
  }

  /** The account, as last reported by the server. */
  get user(): User {
    return this.#user;
  }

  /** Asks the server for the account, and returns it. */
  async me(): Promise<User> {
    this.#user = await this.#api.me();
    return this.#user;
  }

  /** Changes the account, and returns it. */
  async update(change: UserChange): Promise<User> {
    this.#user = await this.#api.update(change);
    return this.#user;
  }

  /** The categories, with the number of people in each. */
  categories(): Promise<readonly Category[]> {
    return this.#api.categories();
  }

  /** Opens a connection. A user has one at a time: a second one closes the first with `REPLACED`. */
  connect(options: ConnectOptions = {}): Connection {
    const connection = Connection.create({
      environment: this.#environment,
      transports: options.transports ?? ["webtransport", "websocket"],
      failures: this.#failures,
      grant: () => this.#api.connect(),
    });
    this.#connections.add(connection);
    connection.on("state", (state) => {
      if (state === "closed") {
        this.#connections.delete(connection);
      }
    });
    return connection;
  }

  /**
   * What the server holds of the account: who it is, and the chat that it is in with all messages. At most six times an
   * hour.
   */
  exportData(): Promise<AccountData> {
    return this.#api.exportData();
  }

  /** Erases the account with everything that belongs to it, and closes its connections. */
  async delete(): Promise<void> {
    await this.#api.deleteMe();
    this.close();
  }

  /**
   * Makes a code with which the account can be entered without tokens, by {@link NoWrong.recover}, as long as the
   * account exists; returns it, in groups of four that people can write down. It replaces the code before. A person who
   * knows it has the account: show it once, and store it nowhere.
   */
  createRecoveryCode(): Promise<string> {
    return this.#api.createRecoveryCode();
  }

  /** Removes the recovery code, if there is one. */
  deleteRecoveryCode(): Promise<void> {
    return this.#api.deleteRecoveryCode();
  }

  /**
   * Logs this device out: its tokens are deleted, here and on the server, and its connections are closed. Tabs
   * that share the storage are logged out too, and their connections close.
   *
   * The account stays until the server erases it for not being used, but **nobody can come back to it** when no
   * other device is logged in and there is no recovery code. Ask the person before, or {@link NoWrong.delete} the account instead.
   *
   * @throws NetworkError Nothing has changed.
   */
  async logOut(): Promise<void> {
    await this.#api.logOut(false);
    this.close();
  }

  /** As {@link NoWrong.logOut}, on every device: all connections of the account are closed within seconds. */
  async logOutEverywhere(): Promise<void> {
    await this.#api.logOut(true);
    this.close();
  }

  /** Closes every connection that was opened here. The account stays. */
  close(): void {
    for (const connection of this.#connections) {
      connection.close();
    }
    this.#connections.clear();
  }

  /** As {@link NoWrong.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

function open(options: NoWrongOptions): { api: RestApi; environment: Environment } {
  const environment = options.environment ?? browserEnvironment();
  const url = options.url ?? globalThis.location?.origin ?? "";
  return { api: new RestApi(url, environment, options.storage ?? memoryStorage()), environment };
}
