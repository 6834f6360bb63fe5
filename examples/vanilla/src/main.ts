/**
 * The page: decides which screen is shown.
 *
 * `start` (a name) → `topics` → `waiting` → `chat`, and back to `topics`. The connection decides more
 * than the buttons do: a chat that opens is shown on whichever screen the user is. `unreachable` is shown
 * instead of all of them when there is an account that the server cannot be asked for.
 *
 * @module
 */

import { type Chat, CloseCode, type NoWrongError, type Ticket } from "@nowrong/sdk";
import { App, isVerdict, restore, type Screen, storage } from "./app.ts";
import { connectionBanner } from "./banner.ts";
import { chatScreen } from "./chat.ts";
import { fill } from "./dom.ts";
import { failureText } from "./refusal.ts";
import { startScreen } from "./start.ts";
import { topicsScreen } from "./topics.ts";
import { unreachableScreen } from "./unreachable.ts";
import { waitingScreen } from "./waiting.ts";

const root = document.querySelector("#app") ?? document.body;
let shown: Screen | null = null;
/** The account that is shown, if there is one. */
let current: App | null = null;

function show(screen: Screen, banner: HTMLElement | null = null): void {
  shown?.close();
  shown = screen;
  fill(root, banner, screen.element);
}

/** Shows the first screen. `notice` tells the user what became of the account. */
function showStart(notice = ""): void {
  current = null;
  show(startScreen((client) => run(new App(client)), notice));
}

/** Shows the state of the connection, and follows it from now on. */
function run(app: App): void {
  current = app;
  const banner = connectionBanner(app, () => run(app));
  const topics = (notice?: string) =>
    show(topicsScreen(app, { waiting, start: showStart }, notice), banner.element);
  const waiting = (ticket: Ticket) => show(waitingScreen(app, ticket, topics), banner.element);
  const talking = (chat: Chat) => show(chatScreen(app, chat, { topics, waiting }), banner.element);
  const { connection } = app;
  connection.on("chat", talking);
  connection.on("ticket", waiting);
  connection.on("state", (state) => {
    if (state === "closed" && connection.error !== null) {
      void closed(app, connection.error);
    }
  });
  topics();
}

/** Goes to the first screen when the account is lost to this tab. The banner tells of every other end. */
async function closed(app: App, error: NoWrongError): Promise<void> {
  const verdict = error.code === CloseCode.REPLACED ? await verdictOn(app) : error;
  if (isVerdict(verdict) && current === app) {
    await lose(verdict);
  }
}

/** The tokens of a connection that was replaced may be good no more: a recovery code was used elsewhere. */
async function verdictOn(app: App): Promise<unknown> {
  try {
    await app.client.me();
    return null;
  } catch (error) {
    return error;
  }
}

/** Forgets an account that the server has given its verdict on. */
async function lose(verdict: NoWrongError): Promise<void> {
  current?.client.close();
  await storage.save(null);
  showStart(failureText(verdict));
}

/** Shows the account of this tab, or the first screen when it has none. */
async function begin(): Promise<void> {
  let app: App | null;
  try {
    app = await restore();
  } catch (error) {
    if (isVerdict(error)) {
      await lose(error);
    } else {
      show(unreachableScreen(error, begin));
    }
    return;
  }
  if (app === null) {
    showStart();
  } else {
    run(app);
  }
}

await begin();
