/**
 * What every screen has: the account, the connection, and how to get to another screen.
 *
 * @module
 */

import { type Category, type Connection, NoWrong, type TransportName, webTokenStorage } from "@nowrong/sdk";

/** One screen: shown when made, and told when it goes. */
export interface Screen {
  /** What is on the page while it is shown. */
  readonly element: HTMLElement;
  /** Takes every listener and timer back. */
  close(): void;
}

/** One account for each tab, so that two windows side by side are two people. */
export const storage = webTokenStorage(sessionStorage);

/** The account and its connection. */
export class App {
  readonly client: NoWrong;
  /** The categories as last heard of. */
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

  /** A category by its id, as far as it is known. */
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
    // For the browser tests, which ask the connection itself what it is made of.
    Object.assign(window, { __nowrong: { client: this.client, connection } });
    return connection;
  }
}

/** `?transport=websocket` or `?transport=webtransport` allows only that one. */
function forced(): { transports?: TransportName[] } {
  const wanted = new URLSearchParams(location.search).get("transport");
  return wanted === "websocket" || wanted === "webtransport" ? { transports: [wanted] } : {};
}

/** What went wrong, in words for a person. */
export function failureText(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong.";
}

/** The account of this tab, if it has one that still exists. */
export async function restore(): Promise<App | null> {
  try {
    const client = await NoWrong.restore({ storage });
    return client === null ? null : new App(client);
  } catch {
    await storage.save(null);
    return null;
  }
}
