/**
 * A field of a form: its label, its input, and a hint.
 *
 * @module
 */

import { el } from "./dom.ts";

/** `id` is that of `input`, which a screen reader reads with label and hint. */
export function field(id: string, label: string, input: HTMLElement, hint?: string): HTMLElement {
  if (hint !== undefined) {
    input.setAttribute("aria-describedby", `${id}-hint`);
  }
  return el(
    "div",
    { class: "field" },
    el("label", { attrs: { for: id } }, label),
    input,
    hint !== undefined && el("small", { id: `${id}-hint` }, hint),
  );
}
