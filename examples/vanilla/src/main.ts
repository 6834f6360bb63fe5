/**
 * The page: decides which screen is shown.
 *
 * `start` (a name) → `topics` → `waiting` → `chat`, and back to `topics`. The connection decides more
 * than the buttons do: a chat that opens is shown on whichever screen the user is. `unreachable` is shown
 * instead of all of them when there is an account that the server cannot be asked for.
 *
 * @module
 */

import type { Chat, Ticket } from "@nowrong/sdk";
import { App, isVerdict, restore, type Screen, storage } from "./app.ts";
import { connectionBanner } from "./banner.ts";
import { chatScreen } from "./chat.ts";
import { fill } from "./dom.ts";
import { startScreen } from "./start.ts";
import { topicsScreen } from "./topics.ts";
import { unreachableScreen } from "./unreachable.ts";
import { waitingScreen } from "./waiting.ts";

const root = document.querySelector("#app") ?? document.body;
let shown: Screen | null = null;

function show(screen: Screen, banner: HTMLElement | null = null): void {
  shown?.close();
  shown = screen;
  fill(root, banner, screen.element);
}

function showStart(): void {
  show(startScreen((client) => run(new App(client))));
}

/** Shows the state of the connection, and follows it from now on. */
function run(app: App): void {
  const banner = connectionBanner(app, () => run(app));
  const topics = (notice?: string) => show(topicsScreen(app, waiting, notice), banner.element);
  const waiting = (ticket: Ticket) => show(waitingScreen(app, ticket, topics), banner.element);
  const talking = (chat: Chat) => show(chatScreen(app, chat, { topics, waiting }), banner.element);
  const { connection } = app;
  connection.on("chat", talking);
  connection.on("ticket", waiting);
  connection.on("state", (state) => {
    if (state === "closed" && connection.error?.codeName === "ACCOUNT_GONE") {
      showStart();
    }
  });
  topics();
}

/** Shows the account of this tab, or the first screen when it has none. */
async function begin(): Promise<void> {
  let app: App | null;
  try {
    app = await restore();
  } catch (error) {
    if (!isVerdict(error)) {
      show(unreachableScreen(error, begin));
      return;
    }
    await storage.save(null);
    app = null;
  }
  if (app === null) {
    showStart();
  } else {
    run(app);
  }
}

await begin();
