/**
 * The messages of a chat. Each has one element, which is kept over all changes.
 *
 * @module
 */

import { type Chat, type ChatMessage, comparePosition, type MessageStatus } from "@nowrong/sdk";
import { el, fill, ICONS, icon } from "./dom.ts";
import { shortText, whyText } from "./text.ts";
import { clock } from "./time.ts";

/** A reader who is closer to the end than this counts as being at the end. */
const NEAR_END_PX = 80;

/** Messages of one sender within this time are drawn as one group. */
const TOGETHER_MS = 120_000;

const STATUS: Record<MessageStatus, { readonly path: string; readonly label: string }> = {
  pending: { path: ICONS.clock, label: "on its way" },
  acked: { path: ICONS.check, label: "sent" },
  delivered: { path: ICONS.checks, label: "delivered" },
  read: { path: ICONS.checks, label: "read" },
};

/** Makes the list. `reply` is called with the message to reply to; `attempt` runs actions that may fail. */
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
  // Whether the reader is at the end: when the layout changes, the list stays there.
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
  /** The text that it replies to. When that message is deleted, it disappears here, too. */
  quote: string | null;
}

/** Updates the list to `messages`, and touches only the rows that differ. */
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
