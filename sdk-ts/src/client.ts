/**
 * The way in: an anonymous account on one server.
 *
 * @module
 */

import { Connection } from "./connection/connection.js";
import { FailureMemory } from "./connection/race.js";
import { browserEnvironment, type Environment } from "./environment.js";
import type { TransportName } from "./link/link.js";
import { type AgeBracket, type Category, RestApi, type User, type UserChange } from "./rest/api.js";
import { memoryStorage, type TokenStorage } from "./rest/tokens.js";

/** Where the server is, and what the client lives on. */
export interface NoWrongOptions {
  /** Address of the server, such as `https://chat.example.org`; default: the origin of the page. */
  readonly url?: string;
  /** Where tokens are kept between visits; default: in memory, so they are gone with the page. */
  readonly storage?: TokenStorage;
  /** Time, randomness and network; default: those of the browser. */
  readonly environment?: Environment;
}

/** {@link NoWrongOptions} and what a person gives to have an account. */
export interface RegisterOptions extends NoWrongOptions {
  /** 2 to 24 characters; no two users have names that look alike. */
  readonly name: string;
  /** A BCP 47 tag, such as `en` or `pt-BR`; default: the browser's. */
  readonly language?: string;
  /** What to talk about, at most 10. */
  readonly interests?: readonly string[];
  /** Decides who may be met; nothing widens it. */
  readonly ageBracket: AgeBracket;
}

/** How to connect. */
export interface ConnectOptions {
  /** The transports to try, in the order of preference; default: WebTransport, then WebSocket. */
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
   * Creates an account. It lapses by itself when it is not used.
   *
   * @throws RequestError `NAME_TAKEN`, or `INVALID` with the fields that are.
   */
  static async register(options: RegisterOptions): Promise<NoWrong> {
    const { api, environment } = open(options);
    const { name, interests, ageBracket } = options;
    const language = options.language ?? globalThis.navigator?.language ?? "en";
    const user = await api.register({ name, language, interests: [...(interests ?? [])], ageBracket });
    return new NoWrong(api, environment, user);
  }

  /** The account whose tokens are in the storage; `null` when there are none. */
  static async restore(options: NoWrongOptions): Promise<NoWrong | null> {
    const { api, environment } = open(options);
    return (await api.restore()) ? new NoWrong(api, environment, await api.me()) : null;
  }

  /** The account as last heard of. */
  get user(): User {
    return this.#user;
  }

  /** Asks the server for the account. */
  async me(): Promise<User> {
    this.#user = await this.#api.me();
    return this.#user;
  }

  /** Changes the account. */
  async update(change: UserChange): Promise<User> {
    this.#user = await this.#api.update(change);
    return this.#user;
  }

  /** The categories, and how many people are in each. */
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

  /** Erases the account and everything that is its own, and closes its connections. */
  async delete(): Promise<void> {
    await this.#api.deleteMe();
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
