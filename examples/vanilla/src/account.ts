/**
 * The account menu: a recovery code, what the server holds, logging out, erasing.
 *
 * @module
 */

import type { NoWrong } from "@nowrong/sdk";
import { el, fill, ICONS, icon } from "./dom.ts";
import { failureText } from "./refusal.ts";
import { twoStep } from "./two-step.ts";

/** How long a browser may take to begin with a file that it saves. */
const SAVE_MS = 10_000;

/** Runs an action, and says in words what went wrong. */
type Attempt = (act: () => Promise<void>) => Promise<void>;

/**
 * A button, and the dialog that it opens. Calls `gone` with a notice once this page has no account any more: it was
 * logged out or erased.
 */
export function accountMenu(
  client: NoWrong,
  gone: (notice: string) => void,
): { readonly button: HTMLElement; readonly dialog: HTMLElement } {
  const problem = el("p", { class: "problem", test: "account-problem", attrs: { role: "alert" } });
  const attempt: Attempt = async (act) => {
    fill(problem);
    try {
      await act();
    } catch (error) {
      fill(problem, failureText(error));
    }
  };
  const recovery = recoveryPart(client, attempt);
  const title = el("h2", { id: "account-title" }, "You are ", el("bdi", {}, client.user.name));
  const close = el(
    "button",
    {
      class: "close",
      test: "account-close",
      attrs: { type: "button", "aria-label": "Close" },
      on: { click: () => dialog.close() },
    },
    icon(ICONS.close),
  );
  const dialog = el(
    "dialog",
    {
      class: "account",
      test: "account",
      attrs: { "aria-labelledby": "account-title" },
      on: { close: recovery.forget },
    },
    el("header", {}, title, close, problem),
    recovery.element,
    dataPart(client, attempt),
    leavePart(client, attempt, gone),
    erasePart(client, attempt, gone),
  );
  const open = () => {
    fill(problem);
    dialog.showModal();
  };
  const button = el(
    "button",
    { class: "quiet you", test: "you", attrs: { "aria-haspopup": "dialog" }, on: { click: open } },
    "You",
  );
  return { button, dialog };
}

/** A new recovery code is on the page until the dialog is closed, and nowhere else. */
function recoveryPart(client: NoWrong, attempt: Attempt): { element: HTMLElement; forget(): void } {
  const shown = el("div", { class: "code", test: "recovery", attrs: { role: "status" } });
  const make = () =>
    attempt(async () => {
      const code = await client.createRecoveryCode();
      const text = el("code", { test: "recovery-code", attrs: { dir: "ltr" } }, code);
      const advice = "It is shown only this once, and replaces the one before. Write it down.";
      fill(shown, text, copyButton(code, text), el("p", {}, advice));
    });
  const remove = () =>
    attempt(async () => {
      await client.deleteRecoveryCode();
      fill(shown, el("p", {}, "This account has no recovery code now."));
    });
  const element = part(
    "Come back later",
    "With a recovery code you can come back to this account from any device. Everybody who knows it can.",
    action("Make a recovery code", "recovery-make", make),
    action("Remove the recovery code", "recovery-remove", remove),
  );
  element.append(shown);
  return { element, forget: () => fill(shown) };
}

/** Copies `code`. Where a page may not do that, it selects `text` for the person to copy. */
function copyButton(code: string, text: HTMLElement): HTMLButtonElement {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(code);
      fill(button, "Copied");
    } catch {
      getSelection()?.selectAllChildren(text);
      fill(button, "Selected: copy it");
    }
  };
  const button = action("Copy", "recovery-copy", copy);
  return button;
}

function dataPart(client: NoWrong, attempt: Attempt): HTMLElement {
  const save = () =>
    attempt(async () => saveFile("nowrong-data.json", JSON.stringify(await client.exportData(), null, 2)));
  return part(
    "Your data",
    "All that the server holds of you, with the chat that you are in.",
    action("Download my data", "export", save),
  );
}

function leavePart(client: NoWrong, attempt: Attempt, gone: (notice: string) => void): HTMLElement {
  const back = "With a recovery code you can come back, as long as the account exists.";
  const leave = (act: () => Promise<void>, notice: string) => () =>
    attempt(async () => {
      await act();
      gone(`${notice} ${back}`);
    });
  const here = leave(() => client.logOut(), "You are logged out.");
  const everywhere = leave(() => client.logOutEverywhere(), "You are logged out everywhere.");
  return part(
    "Log out",
    "Without a recovery code nobody can come back to this account then: not even you.",
    twoStep("Log out", "Really log out", "log-out", here),
    twoStep("Log out everywhere", "Really everywhere", "log-out-everywhere", everywhere),
  );
}

function erasePart(client: NoWrong, attempt: Attempt, gone: (notice: string) => void): HTMLElement {
  const erase = () =>
    attempt(async () => {
      await client.delete();
      gone("All is gone: the account, and everything that belonged to it.");
    });
  return part(
    "Erase everything",
    "The account and everything that belongs to it, at once. Nobody can bring it back.",
    twoStep("Erase me", "Really erase me", "erase-me", erase),
  );
}

/** A part of the menu: a title, what it does, and its buttons. The text stands out when one of them asks again. */
function part(title: string, text: string, ...buttons: HTMLElement[]): HTMLElement {
  const about = el("p", { class: "about" }, text);
  return el("section", {}, el("h3", {}, title), about, el("div", { class: "row" }, ...buttons));
}

/** A button that does nothing while its action is under way. */
function action(label: string, test: string, act: () => Promise<void>): HTMLButtonElement {
  let isBusy = false;
  const press = async () => {
    if (!isBusy) {
      isBusy = true;
      await act();
      isBusy = false;
    }
  };
  const on = { click: () => void press() };
  return el("button", { class: "small", test, attrs: { type: "button" }, on }, label);
}

/** Has the browser save a file. */
function saveFile(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  el("a", { attrs: { href: url, download: name } }).click();
  setTimeout(() => URL.revokeObjectURL(url), SAVE_MS);
}
