/**
 * The composer: Enter sends, Shift+Enter breaks the line. Enter of an input method does neither.
 *
 * @module
 */

import type { Chat, ChatMessage } from "@nowrong/sdk";
import { el, fill, ICONS, icon } from "./dom.ts";
import { shortText } from "./text.ts";

/** A composer for one chat. */
export interface Composer {
  readonly element: HTMLElement;
  /** The next message will be a reply to `message`. */
  answer(message: ChatMessage): void;
  focus(): void;
  close(): void;
}

/** `failed` is called with the error when the server refuses a message. Its text returns to the field. */
export function composer(chat: Chat, failed: (error: unknown) => void): Composer {
  let replyTo: ChatMessage | null = null;
  const quote = el("div", { class: "quoting", test: "quoting" });
  const input = el("textarea", {
    test: "message",
    attrs: {
      rows: 1,
      dir: "auto",
      placeholder: "Write something kind",
      "aria-label": "Message",
      enterkeyhint: "send",
    },
  });
  const send = el(
    "button",
    { class: "send", test: "send", attrs: { type: "submit", "aria-label": "Send" } },
    icon(ICONS.send),
  );

  const setReply = (message: ChatMessage | null) => {
    replyTo = message;
    if (message === null) {
      fill(quote);
      return;
    }
    const drop = () => setReply(null);
    fill(
      quote,
      icon(ICONS.reply),
      el("span", { attrs: { dir: "auto" } }, shortText(message)),
      el(
        "button",
        { attrs: { type: "button", "aria-label": "Do not answer this one" }, on: { click: drop } },
        icon(ICONS.close),
      ),
    );
    input.focus();
  };
  const grow = () => {
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
  };
  const submit = () => {
    const text = input.value;
    if (text.trim() === "") {
      return;
    }
    try {
      chat.send(text, replyTo?.position ? { replyTo: replyTo.position } : {});
    } catch (error) {
      failed(error);
      return;
    }
    input.value = "";
    setReply(null);
    grow();
  };
  const form = el("form", { class: "composer" }, quote, input, send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  input.addEventListener("input", () => {
    grow();
    chat.typing(input.value !== "");
  });
  input.addEventListener("keydown", (event) => {
    // WebKit ends a composition before its Enter is reported: only the key code shows it.
    const isComposing = event.isComposing || event.keyCode === 229;
    if (event.key === "Enter" && !event.shiftKey && !isComposing) {
      event.preventDefault();
      submit();
    }
  });
  const offFailed = chat.on("failed", ({ body, error }) => {
    failed(error);
    if (body.kind === "text" && input.value === "") {
      input.value = body.text;
      grow();
    }
  });
  return { element: form, answer: setReply, focus: () => input.focus(), close: offFailed };
}
