import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { browserEnvironment } from "./environment.js";

const CHROME =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const SAFARI =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15";
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

class Transport {}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("the network of a browser", () => {
  it.each([
    ["Chrome", CHROME, Transport],
    ["Firefox", FIREFOX, Transport],
    ["Safari, whose WebTransport stops after some MiB", SAFARI, null],
    ["a browser that does not say what it is", undefined, Transport],
  ])("has the WebTransport of %s or none", (_, userAgent, expected) => {
    vi.stubGlobal("WebTransport", Transport);
    vi.stubGlobal("navigator", userAgent === undefined ? undefined : { userAgent });
    expect(browserEnvironment().WebTransport).toBe(expected);
  });

  it("has no transport that the browser lacks", () => {
    vi.stubGlobal("navigator", { userAgent: CHROME });
    vi.stubGlobal("WebTransport", undefined);
    vi.stubGlobal("WebSocket", undefined);
    expect(browserEnvironment()).toMatchObject({ WebTransport: null, WebSocket: null });
    vi.stubGlobal("WebSocket", Transport);
    expect(browserEnvironment().WebSocket).toBe(Transport);
  });

  it("fetches with the fetch of the moment", async () => {
    const environment = browserEnvironment();
    const fetch = vi.fn(() => Promise.resolve("reply"));
    vi.stubGlobal("fetch", fetch);
    const init = { method: "POST" };
    expect(await environment.fetch("https://host/", init)).toBe("reply");
    expect(fetch).toHaveBeenCalledExactlyOnceWith("https://host/", init);
  });
});

describe("time and randomness of a browser", () => {
  it("come from the platform: an action is called once, unless it was cancelled", () => {
    vi.useFakeTimers({ now: 5_000 });
    const environment = browserEnvironment();
    const heard: number[] = [];
    expect(environment.now()).toBe(5_000);
    const startedAt = environment.monotonicNow();
    expect(startedAt).toBeGreaterThanOrEqual(0);
    vi.setSystemTime(1_000);
    expect(environment.monotonicNow()).toBe(startedAt);
    vi.setSystemTime(5_000);
    environment.schedule(100, () => heard.push(environment.now()));
    const cancel = environment.schedule(50, () => heard.push(environment.now()));
    cancel();
    vi.advanceTimersByTime(1_000);
    expect(heard).toEqual([5_100]);
    expect(environment.monotonicNow() - startedAt).toBe(1_000);
  });

  it("never calls an action before its time, though a timer of the platform may", () => {
    let nowMs = 100;
    const timers: { readonly ring: () => void; readonly delayMs: number }[] = [];
    vi.spyOn(performance, "now").mockImplementation(() => nowMs);
    vi.stubGlobal("setTimeout", (ring: () => void, delayMs: number) => timers.push({ ring, delayMs }));
    const action = vi.fn();
    browserEnvironment().schedule(50.5, action);
    nowMs = 150.1;
    timers[0]?.ring();
    expect(action).not.toHaveBeenCalled();
    nowMs = 150.5;
    timers[1]?.ring();
    expect(action).toHaveBeenCalledOnce();
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([51, 1]);
    vi.restoreAllMocks();
  });

  it("takes longer than a timer of the platform can", () => {
    vi.useFakeTimers();
    const month = 31 * 24 * 3_600_000;
    const action = vi.fn();
    browserEnvironment().schedule(month, action);
    vi.advanceTimersByTime(month - 1);
    expect(action).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(action).toHaveBeenCalledOnce();
  });

  it("is as many bytes as asked for, other ones each time", () => {
    const { randomBytes } = browserEnvironment();
    expect(randomBytes(32)).toHaveLength(32);
    expect(randomBytes(32)).not.toEqual(randomBytes(32));
  });
});

describe("the life of a page", () => {
  let page: EventTarget & { visibilityState: string };
  let frame: EventTarget;

  beforeEach(() => {
    page = Object.assign(new EventTarget(), { visibilityState: "visible" });
    frame = new EventTarget();
    vi.stubGlobal("document", page);
    vi.stubGlobal("window", frame);
  });

  it("is told as it goes, until that is taken back", () => {
    const heard: string[] = [];
    const stop = browserEnvironment().onWake((reason) => heard.push(reason));
    const happen = () => {
      page.visibilityState = "hidden";
      page.dispatchEvent(new Event("visibilitychange"));
      page.visibilityState = "visible";
      page.dispatchEvent(new Event("visibilitychange"));
      frame.dispatchEvent(new Event("pageshow"));
      frame.dispatchEvent(new Event("online"));
      frame.dispatchEvent(new Event("pagehide"));
      frame.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    };
    happen();
    expect(heard).toEqual(["hidden", "visible", "visible", "online", "leave", "return"]);
    stop();
    happen();
    expect(heard).toHaveLength(6);
  });

  it("tells what its policy refused to connect to, and nothing else", () => {
    const refused: string[] = [];
    const stop = browserEnvironment().onPolicyViolation?.((url) => refused.push(url));
    const violate = (parts: object) => {
      const usual = { disposition: "enforce", effectiveDirective: "connect-src", blockedURI: "wss://host/" };
      page.dispatchEvent(Object.assign(new Event("securitypolicyviolation"), usual, parts));
    };
    violate({});
    violate({ disposition: "report", blockedURI: "wss://reported/" });
    violate({ effectiveDirective: "img-src", blockedURI: "https://image/" });
    expect(refused).toEqual(["wss://host/"]);
    stop?.();
    violate({});
    expect(refused).toHaveLength(1);
  });

  it("tells in a worker, too, what its policy refused", () => {
    const worker = new EventTarget();
    vi.stubGlobal("document", undefined);
    vi.stubGlobal("addEventListener", worker.addEventListener.bind(worker));
    vi.stubGlobal("removeEventListener", worker.removeEventListener.bind(worker));
    const refused: string[] = [];
    const stop = browserEnvironment().onPolicyViolation?.((url) => refused.push(url));
    const refuse = () => {
      const parts = { disposition: "enforce", effectiveDirective: "connect-src", blockedURI: "wss://host/" };
      worker.dispatchEvent(Object.assign(new Event("securitypolicyviolation"), parts));
    };
    refuse();
    stop?.();
    refuse();
    expect(refused).toEqual(["wss://host/"]);
  });

  it("is visible or not", () => {
    expect(browserEnvironment().isVisible()).toBe(true);
    page.visibilityState = "hidden";
    expect(browserEnvironment().isVisible()).toBe(false);
  });

  it.each(["document", "window"])("without a %s never changes, and counts as visible", (name) => {
    vi.stubGlobal(name, undefined);
    const heard = vi.fn();
    const environment = browserEnvironment();
    const stop = environment.onWake(heard);
    const stopPolicy = environment.onPolicyViolation?.(heard);
    page.dispatchEvent(new Event("visibilitychange"));
    frame.dispatchEvent(new Event("online"));
    stop();
    stopPolicy?.();
    expect(heard).not.toHaveBeenCalled();
    expect(environment.isVisible()).toBe(true);
  });
});
