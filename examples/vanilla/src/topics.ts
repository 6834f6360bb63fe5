/**
 * The topics, with the number of people in each.
 *
 * @module
 */

import type { Category, Ticket } from "@nowrong/sdk";
import { accountMenu } from "./account.ts";
import type { App, Screen } from "./app.ts";
import { el, fill } from "./dom.ts";
import { failureText } from "./refusal.ts";

/** How often the numbers are updated while the page is visible. */
const REFRESH_MS = 5_000;

/** The screens that follow the topics. */
interface Ways {
  waiting(ticket: Ticket): void;
  /** The account is logged out or erased. */
  start(notice: string): void;
}

/** Joins a queue, and has the account menu in a corner. `notice` tells the user why this screen is shown. */
export function topicsScreen(app: App, ways: Ways, notice = ""): Screen {
  const { user } = app.client;
  const account = accountMenu(app.client, ways.start);
  const problem = el("p", { class: "problem", attrs: { role: "alert" } }, notice);
  const grid = el("ul", { class: "grid", test: "categories" });
  const cards = new Map<string, { readonly card: HTMLElement; readonly count: HTMLElement }>();
  let isClosed = false;

  const join = async (category: Category) => {
    fill(problem);
    grid.inert = true;
    try {
      const ticket = await app.connection.join(category.id);
      if (!isClosed && ticket.status === "waiting") {
        ways.waiting(ticket);
      }
    } catch (error) {
      fill(problem, failureText(error));
    } finally {
      grid.inert = false;
    }
  };
  const add = (category: Category) => {
    const count = el("span", { class: "count" });
    const title = el("strong", {}, app.title(category) ?? category.id);
    const text = el("span", { class: "about" }, category.description);
    const face = el("span", { class: "emoji", attrs: { "aria-hidden": true } }, category.emoji);
    const button = el(
      "button",
      { class: "topic", test: `category-${category.id}`, on: { click: () => void join(category) } },
      face,
      title,
      text,
      count,
    );
    const card = el("li", {}, button);
    cards.set(category.id, { card, count });
    grid.append(card);
  };
  const refresh = async () => {
    if (document.visibilityState === "hidden" && cards.size > 0) {
      return;
    }
    try {
      app.categories = await app.client.categories();
    } catch (error) {
      if (cards.size === 0) {
        fill(problem, failureText(error));
      }
      return;
    }
    draw();
  };
  const draw = () => {
    const open = app.categories.filter(
      ({ ageBracket }) => ageBracket === null || ageBracket === user.ageBracket,
    );
    for (const category of open) {
      if (!cards.has(category.id)) {
        add(category);
      }
      const count = cards.get(category.id)?.count;
      if (count !== undefined) {
        fill(count, ...countText(category));
      }
    }
  };
  void refresh();
  const timer = setInterval(() => void refresh(), REFRESH_MS);

  const element = el(
    "main",
    { class: "topics" },
    el(
      "header",
      { class: "top" },
      el("h1", { test: "greeting" }, "Hello ", el("bdi", {}, user.name)),
      account.button,
      el("p", {}, "What would you like to talk about?"),
      user.interests.length > 0 &&
        el(
          "ul",
          { class: "chips" },
          ...user.interests.map((one) => el("li", { class: "chip" }, el("bdi", {}, one))),
        ),
    ),
    problem,
    grid,
    account.dialog,
  );
  return {
    element,
    close: () => {
      isClosed = true;
      clearInterval(timer);
    },
  };
}

function countText({ online, waiting }: Category): (Node | string)[] {
  if (online === 0) {
    return ["nobody yet"];
  }
  const people = `${online} here`;
  return waiting > 0
    ? [el("span", { class: "dot" }), people, ` · ${waiting} waiting`]
    : [el("span", { class: "dot" }), people];
}
