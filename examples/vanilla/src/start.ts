/**
 * The first screen: a name, a language, an age bracket, and topics to talk about; or a recovery code.
 *
 * @module
 */

import { type AgeBracket, limits, NoWrong } from "@nowrong/sdk";
import { type Screen, storage } from "./app.ts";
import { el, fill, ICONS, icon } from "./dom.ts";
import { field } from "./field.ts";
import { languages, ownLanguage } from "./language.ts";
import { recoverPart } from "./recover.ts";
import { failureText } from "./refusal.ts";

const BRACKETS: readonly AgeBracket[] = ["13-17", "18+"];

/** Creates an account, or brings one back by its recovery code, then calls `done`. `notice` tells the user what became of the account before. */
export function startScreen(done: (client: NoWrong) => void, notice = ""): Screen {
  const name = el("input", {
    id: "name",
    test: "name",
    attrs: {
      autocomplete: "nickname",
      maxlength: limits.NAME_GRAPHEMES_MAX,
      required: true,
      dir: "auto",
      placeholder: "Robin",
    },
  });
  const language = el(
    "select",
    { id: "language", test: "language" },
    ...languages().map(({ tag, name: own }) =>
      el("option", { attrs: { value: tag, selected: tag === ownLanguage() } }, own),
    ),
  );
  const interests = interestsField();
  const problem = el("p", { class: "problem", test: "problem", attrs: { role: "alert" } });
  const submit = el(
    "button",
    { class: "primary", test: "start", attrs: { type: "submit" } },
    "Start talking",
  );
  // The server may let the device work a little, so that nobody makes accounts by the thousand.
  const work = el("progress", { class: "work", attrs: { max: 1, "aria-label": "Getting ready" } });
  const form = el(
    "form",
    { class: "card", attrs: { novalidate: true } },
    field(
      "name",
      "What should others call you?",
      name,
      "2 to 24 characters. Nobody has to know who you are.",
    ),
    bracketField(),
    field("language", "Language to talk in", language),
    interests.element,
    problem,
    work,
    submit,
  );
  work.hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void register();
  });

  async function register(): Promise<void> {
    fill(problem);
    const ageBracket = BRACKETS.find((bracket) => bracket === new FormData(form).get("bracket"));
    const missing =
      name.value.trim() === ""
        ? "Please give a name."
        : ageBracket === undefined && "Please say how old you are.";
    if (missing !== false || ageBracket === undefined) {
      fill(problem, missing || "");
      name.focus();
      return;
    }
    submit.disabled = true;
    try {
      const given = { name: name.value, language: language.value, interests: interests.values(), ageBracket };
      done(await NoWrong.register({ ...given, storage, onProgress: showWork }));
    } catch (error) {
      fill(problem, failureText(error));
      name.focus();
    } finally {
      submit.disabled = false;
      work.hidden = true;
    }
  }

  function showWork(share: number): void {
    work.hidden = false;
    work.value = share;
  }

  const element = el(
    "main",
    { class: "start" },
    el(
      "header",
      { class: "hero" },
      el("img", { class: "logo", attrs: { src: "/icon.svg", alt: "", width: 56, height: 56 } }),
      el("h1", {}, "NoWrong"),
      el(
        "p",
        {},
        "Talk with a stranger about something you both like. No sign-up, no history: within a day everything is erased.",
      ),
    ),
    el("p", { class: "farewell", test: "farewell", attrs: { role: "alert" } }, notice),
    form,
    recoverPart(done),
    el(
      "p",
      { class: "fine" },
      "No e-mail, no phone number, no cookies. Be kind, and never share where you live.",
    ),
  );
  return { element, close: () => undefined };
}

function bracketField(): HTMLElement {
  const choices = BRACKETS.map((bracket) =>
    el(
      "label",
      { class: "choice" },
      el("input", {
        test: `bracket-${bracket}`,
        attrs: { type: "radio", name: "bracket", value: bracket, required: true },
      }),
      el("span", {}, bracket === "18+" ? "18 or older" : "13 to 17"),
    ),
  );
  return el(
    "fieldset",
    { class: "field" },
    el("legend", {}, "How old are you?"),
    el("div", { class: "choices" }, ...choices),
    el("small", {}, "You only ever meet people of your own group."),
  );
}

/** A text field that turns each entry, ended by Enter or a comma, into a chip. */
function interestsField(): { element: HTMLElement; values: () => string[] } {
  const chosen: string[] = [];
  const chips = el("ul", { class: "chips", attrs: { "aria-label": "Your interests" } });
  const input = el("input", {
    id: "interests",
    test: "interests",
    attrs: { placeholder: "jazz, hiking …", autocomplete: "off", enterkeyhint: "done", dir: "auto" },
  });

  const redraw = () => {
    fill(chips, ...chosen.map((interest) => chip(interest)));
    input.disabled = chosen.length >= limits.INTERESTS_MAX;
  };
  const chip = (interest: string) =>
    el(
      "li",
      { class: "chip" },
      el("bdi", {}, interest),
      el(
        "button",
        {
          attrs: { type: "button", "aria-label": `Remove ${interest}` },
          on: {
            click: () => {
              chosen.splice(chosen.indexOf(interest), 1);
              redraw();
              input.focus();
            },
          },
        },
        icon(ICONS.close),
      ),
    );
  const take = () => {
    for (const part of input.value.split(/[,，、;\n]/)) {
      const interest = part.trim().toLocaleLowerCase();
      if (interest !== "" && !chosen.includes(interest) && chosen.length < limits.INTERESTS_MAX) {
        chosen.push(interest);
      }
    }
    input.value = "";
    redraw();
  };
  input.addEventListener("keydown", (event) => {
    const isComposing = event.isComposing || event.keyCode === 229;
    if (!isComposing && (event.key === "Enter" || event.key === ",") && input.value.trim() !== "") {
      event.preventDefault();
      take();
    }
  });
  // Not when the field loses the focus: a chip that appears then would move the button under the finger.
  const element = field(
    "interests",
    "What do you like? (optional)",
    input,
    "Separate with commas. Whoever shares one comes first.",
  );
  element.insertBefore(chips, input);
  return {
    element,
    values: () => {
      take();
      return [...chosen];
    },
  };
}
