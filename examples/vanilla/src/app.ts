/**
 * What every screen has: the account, the connection, and how to get to another screen.
 *
 * @module
 */

import {
  type Category,
  CloseCode,
  type Connection,
  ErrorCode,
  NoWrong,
  NoWrongError,
  type TransportName,
  webTokenStorage,
} from "@nowrong/sdk";

/** One screen. It is shown when it is made, and closed when another one takes its place. */
export interface Screen {
  /** The content of the page while it is shown. */
  readonly element: HTMLElement;
  /** Removes every listener and timer. */
  close(): void;
}

/** One account for each tab, so that two windows side by side are two people. */
export const storage = webTokenStorage(sessionStorage);

/** The account and its connection. */
export class App {
  readonly client: NoWrong;
  /** The categories, as last reported by the server. */
  categories: readonly Category[] = [];
  #connection: Connection;

  constructor(client: NoWrong) {
    this.client = client;
    this.#connection = this.#connect();
  }

  /** The connection; a new one after {@link App.reconnect}. */
  get connection(): Connection {
    return this.#connection;
  }

  /** Opens a new connection after the last was closed for good. */
  reconnect(): void {
    this.#connection.close();
    this.#connection = this.#connect();
  }

  /** Title and emoji of a category; its id and a default when it is unknown. */
  category(id: string): { readonly title: string; readonly emoji: string } {
    const category = this.categories.find((one) => one.id === id);
    return { title: this.title(category) ?? id, emoji: category?.emoji ?? "💬" };
  }

  /** The title of a category in the language of the user. */
  title(category: Category | undefined): string | undefined {
    const { language } = this.client.user;
    const [primary = language] = language.split("-");
    return category?.titles[language] ?? category?.titles[primary] ?? category?.title;
  }

  #connect(): Connection {
    const connection = this.client.connect(forced());
    // For the browser tests, which ask the connection for its transport.
    Object.assign(window, { __nowrong: { client: this.client, connection } });
    return connection;
  }
}

/** `?transport=websocket` or `?transport=webtransport` allows only that one. */
function forced(): { transports?: TransportName[] } {
  const wanted = new URLSearchParams(location.search).get("transport");
  return wanted === "websocket" || wanted === "webtransport" ? { transports: [wanted] } : {};
}

/** Returns the account of this tab, or `null` when it has none. Rejects when the server refuses it or says nothing. */
export async function restore(): Promise<App | null> {
  const client = await NoWrong.restore({ storage });
  return client === null ? null : new App(client);
}

/** With these the server has judged the account itself. */
const VERDICTS: readonly number[] = [
  ErrorCode.UNAUTHENTICATED,
  ErrorCode.REFRESH_REFUSED,
  CloseCode.ACCOUNT_GONE,
];

/**
 * Whether the server has said that this tab has no account any more. Everything else passes, and is not a reason
 * to forget the tokens: no network, a server without room, something in between that replied.
 */
export function isVerdict(error: unknown): error is NoWrongError {
  return error instanceof NoWrongError && VERDICTS.includes(error.code);
}
