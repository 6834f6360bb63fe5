/**
 * The chat screen: the partner, the messages, and the actions of the user.
 *
 * @module
 */

import type { Chat, ChatEnd, Ticket } from "@nowrong/sdk";
import type { App, Screen } from "./app.ts";
import { composer } from "./composer.ts";
import { el, fill } from "./dom.ts";
import { messageList } from "./messages.ts";
import { failureText } from "./refusal.ts";
import { endText, noticeText, statusText } from "./text.ts";
import { countdown, everySecond } from "./time.ts";
import { twoStep } from "./two-step.ts";

/** The screens that follow a chat. */
interface Ways {
  topics(notice?: string): void;
  waiting(ticket: Ticket): void;
}

/** Shows `chat` until it is left. */
export function chatScreen(app: App, chat: Chat, ways: Ways): Screen {
  const problem = el("p", { class: "problem", attrs: { role: "alert" } });
  const attempt = async (act: () => Promise<void>) => {
    fill(problem);
    try {
      await act();
    } catch (error) {
      fill(problem, failureText(error));
    }
  };
  const next = () => attempt(async () => ways.waiting(await nextTicket(app, chat)));
  const leave = () =>
    attempt(async () => {
      await chat.leave();
      ways.topics();
    });
  const block = () =>
    attempt(async () => {
      await chat.block();
      ways.topics(`You will not meet ${chat.partner.name} again.`);
    });

  const header = chatHeader(app, chat, { next, leave, block });
  const notice = el("p", { class: "notice", test: "notice", attrs: { role: "status" } });
  const write = composer(chat, (error) => fill(problem, failureText(error)));
  const list = messageList(
    chat,
    (message) => write.answer(message),
    (act) => void attempt(act),
  );
  const foot = el("footer", { class: "foot" }, notice, problem, write.element);

  let idleAtMs = 0;
  const showNotice = () => fill(notice, noticeText(chat, app.connection.serverTimeMs(), idleAtMs));
  const showEnd = (end: ChatEnd) => {
    write.close();
    const text = el("p", { test: "ended", attrs: { role: "status" } }, endText(chat, end));
    const again = el(
      "button",
      { class: "primary", test: "again", on: { click: () => void next() } },
      "Meet someone new",
    );
    const topics = el(
      "button",
      { class: "quiet", test: "topics", on: { click: () => ways.topics() } },
      "Other topics",
    );
    fill(foot, problem, el("div", { class: "over" }, text, el("div", { class: "row" }, again, topics)));
    header.end();
    again.focus();
  };
  const offs = [
    chat.on("ended", showEnd),
    chat.on("idle", ({ endsAtMs }) => {
      idleAtMs = endsAtMs;
      showNotice();
    }),
    everySecond(showNotice),
    header.close,
    list.close,
    () => write.close(),
  ];
  const element = el("main", { class: "chat", test: "chat" }, header.element, list.element, foot);
  if (chat.end !== null) {
    showEnd(chat.end);
  } else if (matchMedia("(hover: hover)").matches) {
    queueMicrotask(() => write.focus());
  }
  if (chat.hasOlder) {
    void attempt(async () => void (await chat.history()));
  }
  return {
    element,
    close: () =>
      offs.forEach((off) => {
        off();
      }),
  };
}

/** An ended chat cannot be left: the user only queues again. */
function nextTicket(app: App, chat: Chat): Promise<Ticket> {
  return chat.end === null ? chat.next() : app.connection.join(chat.category);
}

interface Actions {
  next(): Promise<void>;
  leave(): Promise<void>;
  block(): Promise<void>;
}

function chatHeader(
  app: App,
  chat: Chat,
  actions: Actions,
): { element: HTMLElement; end(): void; close(): void } {
  const status = el("span", { class: "status", test: "partner-status" });
  const expiry = el("span", {
    class: "expiry",
    test: "expiry",
    attrs: { title: "Then everything here is erased" },
  });
  const buttons = el(
    "div",
    { class: "actions" },
    twoStep("Block", "Block for good", "block", actions.block),
    twoStep("Leave", "Really leave", "leave", actions.leave),
    twoStep("Next", "Next stranger", "next", actions.next),
  );
  let isAway = false;
  const update = () => {
    const { seat, heldUntilMs } = chat.partner;
    const now = app.connection.serverTimeMs();
    status.dataset["state"] =
      chat.end !== null || seat === "free" ? "gone" : seat === "held" ? "held" : isAway ? "away" : "here";
    fill(status, statusText(chat, heldUntilMs - now, isAway));
    fill(expiry, `erased in ${countdown(chat.expiresAtMs - now)}`);
  };
  const offs = [
    chat.on("seat", update),
    chat.on("typing", update),
    chat.on("ended", update),
    chat.on("presence", ({ member, state }) => {
      isAway = member === chat.you ? isAway : state === "away";
      update();
    }),
    everySecond(update),
  ];
  const { name } = chat.partner;
  const face = el("span", { class: "face", attrs: { "aria-hidden": true } }, [...name][0] ?? "?");
  face.style.setProperty("--hue", String(hue(name)));
  const who = el("div", { class: "who" }, el("h1", { test: "partner" }, el("bdi", {}, name)), status);
  const element = el("header", { class: "bar" }, face, who, expiry, buttons);
  return {
    element,
    end: () => buttons.remove(),
    close: () =>
      offs.forEach((off) => {
        off();
      }),
  };
}

/** The colour of a name: always the same one. */
function hue(name: string): number {
  let sum = 0;
  for (const letter of name) {
    sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360;
  }
  return sum;
}
