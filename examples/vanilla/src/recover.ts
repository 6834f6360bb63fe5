/**
 * The way back to an account: its recovery code.
 *
 * @module
 */

import { ErrorCode, NoWrong, RequestError } from "@nowrong/sdk";
import { storage } from "./app.ts";
import { el, fill } from "./dom.ts";
import { field } from "./field.ts";
import { failureText } from "./refusal.ts";

/** Opens a field when the user has a recovery code; calls `done` with the account that it belongs to. */
export function recoverPart(done: (client: NoWrong) => void): HTMLElement {
  const input = el("input", {
    id: "recovery",
    test: "recover-code",
    attrs: {
      autocomplete: "off",
      autocapitalize: "characters",
      spellcheck: "false",
      dir: "ltr",
      maxlength: 128,
    },
  });
  const problem = el("p", { class: "problem", test: "recover-problem", attrs: { role: "alert" } });
  const submit = el("button", { class: "primary", test: "recover", attrs: { type: "submit" } }, "Come back");
  const recover = async () => {
    const isEmpty = input.value.trim() === "";
    fill(problem, isEmpty && "Please enter the code.");
    if (isEmpty) {
      input.focus();
      return;
    }
    submit.disabled = true;
    try {
      done(await NoWrong.recover(input.value, { storage }));
    } catch (error) {
      fill(problem, recoveryText(error));
      input.focus();
    } finally {
      submit.disabled = false;
    }
  };
  const form = el(
    "form",
    { class: "card", attrs: { novalidate: true } },
    field(
      "recovery",
      "Your recovery code",
      input,
      "Capitals, spaces and hyphens do not matter. Wherever else you are logged in, you will be logged out.",
    ),
    problem,
    submit,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void recover();
  });
  const summary = el("summary", { class: "quiet", test: "have-code" }, "I have a recovery code");
  const part = el("details", { class: "recover" }, summary, form);
  part.addEventListener("toggle", () => part.open && input.focus());
  return part;
}

/** A code that is refused is not a lost login. */
function recoveryText(error: unknown): string {
  const isUnknown = error instanceof RequestError && error.code === ErrorCode.REFRESH_REFUSED;
  return isUnknown
    ? "No account has this code: it was replaced or removed, or the account is gone."
    : failureText(error);
}
