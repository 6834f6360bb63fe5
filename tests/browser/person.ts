/**
 * A person at the page, in any browser. The tests do what a person would do.
 *
 * @module
 */

import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const PICTURES = fileURLToPath(new URL("../../target/browser", import.meta.url));

/** The longest wait for anything on a page. */
const PATIENCE_MS = 10_000;

/** One tab of a browser. Chromium and Firefox are driven by different libraries; this is their common part. */
export interface Tab {
  goto(url: string): Promise<void>;
  /** Runs `script`, an expression, in the page. */
  evaluate<Value>(script: string): Promise<Value>;
  fill(selector: string, text: string): Promise<void>;
  click(selector: string): Promise<void>;
  press(selector: string, key: string): Promise<void>;
  screenshot(): Promise<Uint8Array>;
  resize(width: number, height: number): Promise<void>;
  close(): Promise<void>;
}

/** The report of the connection about itself. */
export interface Report {
  readonly state: string;
  readonly transport: string | null;
  readonly id: string | null;
  readonly links: number;
}

/** A message, as the page shows it. */
export interface Bubble {
  readonly text: string;
  readonly isMine: boolean;
  readonly status: string;
  readonly position: string;
}

const at = (test: string) => `[data-testid="${test}"]`;

/** A person at a page. */
export class Person {
  readonly tab: Tab;
  readonly name: string;

  constructor(tab: Tab, name: string) {
    this.tab = tab;
    this.name = name;
  }

  /** Opens the page and enters a name. */
  async arrive(url: string, query = "", interests = "jazz"): Promise<this> {
    await this.tab.goto(`${url}/${query}`);
    await this.enter(this.name, interests);
    await this.see("categories");
    return this;
  }

  /** Fills in the first screen and submits it. */
  async enter(name: string, interests = "jazz"): Promise<void> {
    await this.see("start");
    await this.tab.fill(at("name"), name);
    await this.tab.evaluate(`document.querySelector('${at("bracket-18+")}').click()`);
    await this.tab.evaluate(`document.querySelector('${at("language")}').value = "en"`);
    await this.tab.fill(at("interests"), interests);
    await this.tab.click(at("start"));
  }

  /** Picks a topic. */
  async pick(category: string): Promise<void> {
    await this.see(`category-${category}`);
    await this.tab.click(at(`category-${category}`));
  }

  /** Clicks an element, once it is on the page. */
  async click(test: string): Promise<void> {
    await this.see(test);
    await this.tab.click(at(test));
  }

  /** Writes a message and sends it with Enter. */
  async say(text: string): Promise<void> {
    await this.tab.fill(at("message"), text);
    await this.tab.press(at("message"), "Enter");
  }

  /** Waits until an element is on the page. */
  async see(test: string): Promise<void> {
    await this.until(`${test} on the page`, `document.querySelector('${at(test)}') !== null`);
  }

  /** Waits until an element on the page has this text in it. */
  async read(test: string, text: string): Promise<void> {
    const has = `document.querySelector('${at(test)}')?.textContent.includes(${JSON.stringify(text)})`;
    await this.until(`${JSON.stringify(text)} in ${test}`, has);
  }

  /** The text of an element on the page. */
  text(test: string): Promise<string> {
    return this.tab.evaluate(`document.querySelector('${at(test)}')?.textContent ?? ""`);
  }

  /** Every message on the page, from top to bottom. */
  bubbles(): Promise<Bubble[]> {
    return this.tab.evaluate(`[...document.querySelectorAll('${at("bubble")}')].map((item) => ({
      text: item.querySelector(".text").textContent,
      isMine: item.classList.contains("mine"),
      status: item.dataset.status,
      position: item.dataset.position,
    }))`);
  }

  /** The texts of every message on the page. */
  async texts(): Promise<string[]> {
    return (await this.bubbles()).map(({ text }) => text);
  }

  /** The report of the connection about itself. */
  report(): Promise<Report> {
    return this.tab.evaluate(`(({ connection }) => ({
      state: connection.state,
      transport: connection.transport,
      id: connection.id,
      links: connection.stats().links,
    }))(window.__nowrong)`);
  }

  /** Waits until a text is on the page as a message. */
  hear(text: string, patienceMs = PATIENCE_MS): Promise<void> {
    const wanted = JSON.stringify(text);
    const all = `[...document.querySelectorAll('${at("bubble")} .text')]`;
    return this.until(
      `${wanted} to be heard`,
      `${all}.some((item) => item.textContent === ${wanted})`,
      patienceMs,
    );
  }

  /** Waits until the newest message of this person has this status. */
  reach(status: string): Promise<void> {
    const newest = `[...document.querySelectorAll('${at("bubble")}.mine')].at(-1)`;
    return this.until(`the newest message to be ${status}`, `${newest}?.dataset.status === "${status}"`);
  }

  /** Waits until `script` is true. The page evaluates it in every frame. */
  async until(what: string, script: string, patienceMs = PATIENCE_MS): Promise<void> {
    const isTrue = await this.tab.evaluate<boolean>(`new Promise((resolve) => {
      const deadline = performance.now() + ${patienceMs};
      const look = () => {
        if (${script}) resolve(true);
        else if (performance.now() > deadline) resolve(false);
        else setTimeout(look, 20);
      };
      look();
    })`);
    if (!isTrue) {
      const page = await this.tab.evaluate<string>("document.body.innerText");
      throw new Error(`${this.name} waited in vain for ${what}. On the page:\n${page}`);
    }
  }

  /** Saves a screenshot of the page under `target/browser`. */
  async picture(name: string): Promise<void> {
    await mkdir(PICTURES, { recursive: true });
    await writeFile(`${PICTURES}/${name}.png`, await this.tab.screenshot());
  }
}

/** Has two people pick the same topic, and waits until both are in the chat. */
export async function meet(one: Person, two: Person, category = "music"): Promise<void> {
  await one.pick(category);
  await two.pick(category);
  await Promise.all([one.see("chat"), two.see("chat")]);
}
