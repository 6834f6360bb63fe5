/**
 * The screen while the user waits for a partner: what the ticket accepts, and a way to cancel.
 *
 * @module
 */

import { ConnectionClosedError, type Stage, type Ticket } from "@nowrong/sdk";
import type { App, Screen } from "./app.ts";
import { el, fill } from "./dom.ts";
import { languageName } from "./language.ts";
import { failureText } from "./refusal.ts";
import { countdown, everySecond } from "./time.ts";

const STAGES: readonly Stage[] = ["interests", "language", "category", "anyone"];

/** Shows `ticket` until it is matched; goes back to the topics when it is cancelled or ends. */
export function waitingScreen(app: App, ticket: Ticket, topics: (notice?: string) => void): Screen {
  const { title, emoji } = app.category(ticket.category);
  const stages = el("ol", { class: "stages", test: "stages" });
  const live = el("p", { class: "now", test: "stage", attrs: { role: "status" } });
  const elapsed = el("span", { attrs: { "aria-hidden": true } });
  const crowd = el("span", {});
  const cancel = el(
    "button",
    { class: "quiet", test: "cancel", on: { click: () => void stop() } },
    "Stop looking",
  );
  const problem = el("p", { class: "problem", attrs: { role: "alert" } });
  let isClosed = false;

  const stop = async () => {
    fill(problem);
    cancel.disabled = true;
    try {
      await ticket.cancel();
    } catch (error) {
      fill(problem, failureText(error));
    } finally {
      cancel.disabled = false;
    }
  };
  const update = () => {
    const at = STAGES.indexOf(ticket.stage);
    fill(stages, ...STAGES.map((stage, index) => step(stageText(app, ticket, title, stage), index - at)));
    fill(live, "Looking for ", el("bdi", {}, stageText(app, ticket, title, ticket.stage)));
    fill(crowd, ticket.waiting > 1 ? `${ticket.waiting} people wait here` : "You are the first one here");
  };
  const offTicket = ticket.on("change", update);
  const offClock = everySecond(() => {
    fill(elapsed, countdown(app.connection.serverTimeMs() - ticket.sinceMs));
  });
  update();
  ticket.matched.catch((error: unknown) => {
    // The banner tells why a connection has ended.
    const isTold = ticket.status === "cancelled" || error instanceof ConnectionClosedError;
    if (!isClosed) {
      topics(isTold ? "" : failureText(error));
    }
  });

  const element = el(
    "main",
    { class: "waiting", test: "waiting" },
    el(
      "div",
      { class: "orb", attrs: { "aria-hidden": true } },
      el("span", { class: "ring" }),
      el("span", { class: "ring late" }),
      el("span", { class: "emoji" }, emoji),
    ),
    el("h1", {}, title),
    live,
    stages,
    el("p", { class: "fine" }, crowd, " · ", elapsed),
    problem,
    cancel,
  );
  return {
    element,
    close: () => {
      isClosed = true;
      offTicket();
      offClock();
    },
  };
}

function step(text: string, distance: number): HTMLElement {
  const state = distance < 0 ? "past" : distance === 0 ? "here" : "next";
  return el(
    "li",
    { class: state, attrs: { "aria-current": distance === 0 ? "step" : null } },
    el("bdi", {}, text),
  );
}

function stageText(app: App, ticket: Ticket, title: string, stage: Stage): string {
  const interests = ticket.interests.length > 0 ? ticket.interests : app.client.user.interests;
  const language = languageName(app.client.user.language);
  switch (stage) {
    case "interests":
      return interests.length > 0
        ? `someone who shares ${interests.slice(0, 3).join(" or ")}`
        : `someone who speaks ${language}`;
    case "language":
      return `someone who speaks ${language}`;
    case "category":
      return `anyone new in ${title}`;
    default:
      return `anyone in ${title}`;
  }
}
