/**
 * The two browsers: Chromium by Playwright, stock Firefox by Puppeteer over WebDriver BiDi.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { type Browser as Chromium, type Page as ChromiumPage, chromium } from "playwright-core";
import puppeteer, { type Browser as Firefox, type Page as FirefoxPage } from "puppeteer-core";
import type { Tab } from "./person.ts";

/** A tab that shows what it saves. WebDriver BiDi has no downloads. */
export interface SavingTab extends Tab {
  /** Clicks an element, and returns the file that the browser saves then. */
  save(selector: string): Promise<{ readonly name: string; readonly text: string }>;
}

/** A browser whose tabs share nothing: no storage, no cookies. */
export interface Browser<Kind extends Tab = Tab> {
  /** Opens a tab. `init` runs in the page before its own scripts. */
  tab(init?: string): Promise<Kind>;
  close(): Promise<void>;
}

function binary(variable: string, usual: string): string {
  return process.env[variable] ?? usual;
}

/** Starts Chromium. */
export async function startChromium(): Promise<Browser<SavingTab>> {
  const browser: Chromium = await chromium.launch({
    executablePath: binary("CHROMIUM", "/usr/bin/chromium"),
    args: ["--no-sandbox"],
  });
  return {
    tab: async (init) => {
      const context = await browser.newContext({ viewport: { width: 1_000, height: 720 }, locale: "en" });
      if (init !== undefined) {
        await context.addInitScript(init);
      }
      return chromiumTab(await context.newPage());
    },
    close: () => browser.close(),
  };
}

function chromiumTab(page: ChromiumPage): SavingTab {
  return {
    goto: async (url) => void (await page.goto(url)),
    evaluate: (script) => page.evaluate(script),
    fill: (selector, text) => page.fill(selector, text),
    click: (selector) => page.click(selector),
    press: (selector, key) => page.press(selector, key),
    screenshot: () => page.screenshot(),
    resize: (width, height) => page.setViewportSize({ width, height }),
    close: () => page.context().close(),
    save: async (selector) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
      const text = await readFile(await download.path(), "utf8");
      return { name: download.suggestedFilename(), text };
    },
  };
}

/** Starts Firefox. */
export async function startFirefox(): Promise<Browser> {
  const browser: Firefox = await puppeteer.launch({
    browser: "firefox",
    executablePath: binary("FIREFOX", "/usr/bin/firefox-esr"),
    headless: true,
  });
  return {
    tab: async () => {
      const context = await browser.createBrowserContext();
      const page = await context.newPage();
      await page.setViewport({ width: 1_000, height: 720 }).catch(async (cause: unknown) => {
        const advice = "update it, on Debian by `apt-get update && apt-get install firefox-esr`";
        throw new Error(`${await browser.version()} lacks a command of WebDriver BiDi: ${advice}`, { cause });
      });
      return firefoxTab(page);
    },
    close: () => browser.close(),
  };
}

function firefoxTab(page: FirefoxPage): Tab {
  return {
    goto: async (url) => void (await page.goto(url)),
    evaluate: async <Value>(script: string) => (await page.evaluate(script)) as Value,
    fill: async (selector, text) => {
      await page.focus(selector);
      await page.$eval(selector, (field) => {
        (field as HTMLInputElement).value = "";
      });
      await page.type(selector, text);
    },
    click: (selector) => page.click(selector),
    press: async (selector, key) => {
      await page.focus(selector);
      await page.keyboard.press(key as "Enter");
    },
    screenshot: () => page.screenshot(),
    resize: (width, height) => page.setViewport({ width, height }),
    close: () => page.browserContext().close(),
  };
}
