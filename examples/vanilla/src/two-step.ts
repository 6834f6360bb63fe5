/**
 * A button for what cannot be taken back: the first press asks, the second does.
 *
 * @module
 */

import { el, fill } from "./dom.ts";

/** The question stands this long. */
const PATIENCE_MS = 4_000;

/** Says `first`; once pressed, `second` for 4 s, and only then does `act`. */
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
