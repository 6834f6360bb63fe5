/**
 * The page: decides which screen is shown.
 *
 * `start` (a name) → `topics` → `waiting` → `chat`, and back to `topics`. The connection decides more
 * than the buttons do: a chat that opens is shown on whichever screen the user is.
 *
 * @module
 */

import type { Chat, Ticket } from "@nowrong/sdk";
import { App, restore, type Screen } from "./app.ts";
import { connectionBanner } from "./banner.ts";
import { chatScreen } from "./chat.ts";
import { fill } from "./dom.ts";
import { startScreen } from "./start.ts";
import { topicsScreen } from "./topics.ts";
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

const restored = await restore();
if (restored === null) {
  showStart();
} else {
  run(restored);
}
