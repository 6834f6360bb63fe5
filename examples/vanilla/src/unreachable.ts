/**
 * The screen when there is an account and the server cannot be asked for it: no network, or no room there.
 *
 * @module
 */

import { NoWrongError, RequestError } from "@nowrong/sdk";
import type { Screen } from "./app.ts";
import { el, fill } from "./dom.ts";
import { againText, failureText } from "./refusal.ts";

/**
 * Calls `again`, which shows the screen that follows, when the user asks for it or the browser has a network again.
 * `error` is what the last attempt failed with.
 */
export function unreachableScreen(error: unknown, again: () => Promise<void>): Screen {
  const button = el(
    "button",
    { class: "primary", test: "retry", on: { click: () => void retry() } },
    "Try again",
  );
  const retry = async () => {
    if (!button.disabled) {
      button.disabled = true;
      fill(button, "Trying…");
      await again();
    }
  };
  const online = () => void retry();
  window.addEventListener("online", online);
  queueMicrotask(() => button.focus());

  const element = el(
    "main",
    { class: "unreachable", test: "unreachable" },
    el("img", { class: "logo", attrs: { src: "/icon.svg", alt: "", width: 56, height: 56 } }),
    el("h1", {}, "Your account is safe."),
    el("p", { attrs: { role: "alert" } }, "The server cannot be reached right now. ", whyText(error)),
    button,
  );
  return { element, close: () => window.removeEventListener("online", online) };
}

/** The word of the server, or the time to wait for; empty when there is nothing but silence. */
function whyText(error: unknown): string {
  if (error instanceof RequestError) {
    return failureText(error);
  }
  return error instanceof NoWrongError && error.retryAfterMs > 0 ? againText(error) : "";
}
