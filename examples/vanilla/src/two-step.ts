/**
 * A button for an action that cannot be undone: the first press asks, the second one acts.
 *
 * @module
 */

import { el, fill } from "./dom.ts";

/** How long the question is shown. */
const PATIENCE_MS = 4_000;

/** Shows `first`. After a press it shows `second` for 4 s, and a press in this time calls `act`. */
export function twoStep(
  first: string,
  second: string,
  test: string,
  act: () => Promise<void>,
): HTMLButtonElement {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const disarm = () => {
    clearTimeout(timer);
    button.classList.remove("armed");
    fill(button, first);
  };
  const press = () => {
    if (!button.classList.contains("armed")) {
      button.classList.add("armed");
      fill(button, second);
      timer = setTimeout(disarm, PATIENCE_MS);
      return;
    }
    disarm();
    button.disabled = true;
    void act().finally(() => {
      button.disabled = false;
    });
  };
  const button = el(
    "button",
    { class: "small", test, attrs: { type: "button" }, on: { click: press, blur: disarm } },
    first,
  );
  return button;
}
