/**
 * The messages of a chat: each one element, kept over every change.
 *
 * @module
 */

import { type Chat, type ChatMessage, comparePosition, type MessageStatus } from "@nowrong/sdk";
import { el, fill, ICONS, icon } from "./dom.ts";
import { shortText, whyText } from "./text.ts";
import { clock } from "./time.ts";

/** Closer to the end than this counts as being there. */
const NEAR_END_PX = 80;

/** Reads as one breath: messages of one sender within this are drawn together. */
const TOGETHER_MS = 120_000;

const STATUS: Record<MessageStatus, { readonly path: string; readonly label: string }> = {
  pending: { path: ICONS.clock, label: "on its way" },
  acked: { path: ICONS.check, label: "sent" },
  delivered: { path: ICONS.checks, label: "delivered" },
  read: { path: ICONS.checks, label: "read" },
};

/** The list; `reply` is called for the message to answer, `attempt` runs what may fail. */
export function messageList(
  chat: Chat,
  reply: (message: ChatMessage) => void,
  attempt: (act: () => Promise<void>) => void,
): { readonly element: HTMLElement; close(): void } {
  const rows = new Map<string, Row>();
  const older = el(
    "button",
    { class: "small older", on: { click: () => attempt(async () => void (await chat.history())) } },
    "Older messages",
  );
  const why = el("p", { class: "why", test: "why" }, whyText(chat));
  const log = el("ol", { class: "log", test: "log", attrs: { role: "log", "aria-label": "Messages" } });
  const typing = el("p", { class: "typing", test: "typing", attrs: { "aria-live": "polite" } });
  const jump = el(
    "button",
    { class: "jump", attrs: { "aria-label": "To the newest message" } },
    icon(ICONS.down),
  );
  const scroller = el("section", { class: "scroller", attrs: { tabindex: -1 } }, why, older, log, typing);

  const isAtEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
  const toEnd = () => {
    scroller.scrollTop = scroller.scrollHeight;
  };
  // Whether the reader is at the end: what appears around the list must not take that away.
  let sticks = true;
  const resized = () => {
    if (sticks) {
      toEnd();
    }
    seen();
  };
  const scrolled = () => {
    sticks = isAtEnd();
    seen();
  };
  const seen = () => {
    jump.hidden = isAtEnd();
    if (document.visibilityState === "visible" && isAtEnd()) {
      chat.read();
    }
  };
  const actions = { reply, erase: (message: ChatMessage) => attempt(() => erase(chat, message)) };
  const draw = (messages: readonly ChatMessage[]) => {
    const isMine = messages.at(-1)?.isMine ?? false;
    drawRows(chat, messages, rows, log, actions);
    older.hidden = !chat.hasOlder;
    if (sticks || isMine) {
      toEnd();
    }
    seen();
  };
  const showTyping = () => {
    const dots = () =>
      el("span", { class: "dots", attrs: { "aria-hidden": true } }, el("i"), el("i"), el("i"));
    fill(
      typing,
      ...(chat.isPartnerTyping
        ? [dots(), el("span", { class: "unseen" }, `${chat.partner.name} is typing`)]
        : []),
    );
    if (sticks) {
      toEnd();
    }
  };
  const offs = [chat.on("change", draw), chat.on("typing", showTyping)];
  const size = new ResizeObserver(resized);
  size.observe(scroller);
  scroller.addEventListener("scroll", scrolled, { passive: true });
  document.addEventListener("visibilitychange", seen);
  jump.addEventListener("click", toEnd);
  queueMicrotask(() => {
    draw(chat.messages);
    toEnd();
  });
  const close = () => {
    size.disconnect();
    document.removeEventListener("visibilitychange", seen);
    for (const off of offs) {
      off();
    }
  };
  return { element: el("div", { class: "log-frame" }, scroller, jump), close };
}

async function erase(chat: Chat, { position }: ChatMessage): Promise<void> {
  if (position !== null) {
    await chat.delete(position);
  }
}

interface Actions {
  reply(message: ChatMessage): void;
  erase(message: ChatMessage): void;
}

interface Row {
  readonly item: HTMLElement;
  message: ChatMessage;
  /** What it answers: gone from here, too, once that is deleted. */
  quote: string | null;
}

/** Brings the list in line with `messages`, and touches only what differs. */
function drawRows(
  chat: Chat,
  messages: readonly ChatMessage[],
  rows: Map<string, Row>,
  log: HTMLElement,
  actions: Actions,
): void {
  const ids = new Set(messages.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (!ids.has(id)) {
      row.item.remove();
      rows.delete(id);
    }
  }
  messages.forEach((message, index) => {
    const known = rows.get(message.id);
    const quote = quotedText(chat, message);
    const row = known ?? { item: el("li"), message, quote };
    if (known === undefined || known.quote !== quote || isChanged(known.message, message)) {
      drawMessage(chat, row.item, message, quote, actions);
    }
    row.message = message;
    row.quote = quote;
    rows.set(message.id, row);
    row.item.classList.toggle("together", isTogether(messages[index - 1], message));
    if (log.children[index] !== row.item) {
      log.insertBefore(row.item, log.children[index] ?? null);
    }
  });
}

function isChanged(a: ChatMessage, b: ChatMessage): boolean {
  return a.status !== b.status || a.body.kind !== b.body.kind || a.position?.seq !== b.position?.seq;
}

function isTogether(before: ChatMessage | undefined, message: ChatMessage): boolean {
  return before !== undefined && before.member === message.member && message.atMs - before.atMs < TOGETHER_MS;
}

function drawMessage(
  chat: Chat,
  item: HTMLElement,
  message: ChatMessage,
  quote: string | null,
  actions: Actions,
): void {
  const { isMine, body, status, position } = message;
  item.className = isMine ? "mine" : "theirs";
  item.dataset["testid"] = "bubble";
  item.dataset["status"] = status;
  item.dataset["position"] = position === null ? "" : `${position.epoch}.${position.seq}`;
  const text = el(
    "p",
    { class: body.kind === "text" ? "text" : "text void", attrs: { dir: "auto" } },
    body.kind === "text" ? body.text : shortText(message),
  );
  const bubble = el(
    "div",
    { class: "bubble" },
    quote !== null && el("blockquote", { attrs: { dir: "auto" } }, quote),
    text,
    meta(message),
  );
  const canAct = position !== null && body.kind !== "deleted" && chat.end === null;
  fill(item, bubble, canAct && tools(message, actions));
}

function quotedText(chat: Chat, { replyTo }: ChatMessage): string | null {
  if (replyTo === null) {
    return null;
  }
  const isIt = ({ position }: ChatMessage) => position !== null && comparePosition(position, replyTo) === 0;
  const original = chat.messages.find(isIt);
  return original === undefined ? "an earlier message" : shortText(original);
}

function meta({ isMine, atMs, status }: ChatMessage): HTMLElement {
  const { path, label } = STATUS[status];
  const ticks =
    isMine && el("span", { class: "ticks", attrs: { role: "img", "aria-label": label } }, icon(path));
  return el("span", { class: "meta" }, el("time", {}, clock(atMs)), ticks);
}

function tools(message: ChatMessage, actions: Actions): HTMLElement {
  const tool = (test: string, label: string, path: string, act: () => void) =>
    el(
      "button",
      { test, attrs: { type: "button", "aria-label": label, title: label }, on: { click: act } },
      icon(path),
    );
  return el(
    "div",
    { class: "tools" },
    tool("reply", "Answer", ICONS.reply, () => actions.reply(message)),
    message.isMine && tool("erase", "Delete for both", ICONS.erase, () => actions.erase(message)),
  );
}
