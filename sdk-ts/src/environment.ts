/**
 * Everything that this package takes from outside: time, randomness, network, the page's life.
 *
 * The state machines take times as arguments and never look at a clock; the shells around them, the
 * links included, take them from here and from nowhere else. Tests and runtimes other than a browser
 * bring their own.
 *
 * @module
 */

/** Why a connection should find out whether it still lives. */
export type WakeReason = "visible" | "hidden" | "online";

/** What the package needs of its surroundings. */
export interface Environment {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** `length` random bytes of cryptographic quality. */
  randomBytes(length: number): Uint8Array;
  /** Calls `action` once, `delayMs` from now; the answer takes it back. */
  schedule(delayMs: number, action: () => void): () => void;
  /** `fetch` of the platform. */
  readonly fetch: typeof globalThis.fetch;
  /** `WebTransport`, where there is one that can be trusted. */
  readonly WebTransport: typeof globalThis.WebTransport | null;
  /** `WebSocket`, where there is one. */
  readonly WebSocket: typeof globalThis.WebSocket | null;
  /** Calls `listener` whenever the page comes back, turns away, or the network returns. */
  onWake(listener: (reason: WakeReason) => void): () => void;
  /** Whether somebody can see the page. */
  isVisible(): boolean;
}

/**
 * The environment of a browser page, or as much of it as there is.
 *
 * @example
 * const environment = { ...browserEnvironment(), WebTransport: null }; // WebSocket only
 */
export function browserEnvironment(): Environment {
  return {
    now: () => Date.now(),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    schedule: (delayMs, action) => {
      const timer = setTimeout(action, delayMs);
      return () => clearTimeout(timer);
    },
    fetch: (input, init) => globalThis.fetch(input, init),
    WebTransport: isWebKit() ? null : (globalThis.WebTransport ?? null),
    WebSocket: globalThis.WebSocket ?? null,
    onWake,
    isVisible: () => globalThis.document?.visibilityState !== "hidden",
  };
}

/**
 * WebKit (Safari, and every browser on iOS) has WebTransport, but its receive credit never refills:
 * a session dies without an error after some 16 MiB (WebKit bug 319818).
 */
function isWebKit(): boolean {
  const agent = globalThis.navigator?.userAgent ?? "";
  return agent.includes("AppleWebKit/") && !agent.includes("Chrome/");
}

function onWake(listener: (reason: WakeReason) => void): () => void {
  const page = globalThis.document;
  const frame = globalThis.window;
  if (page === undefined || frame === undefined) {
    return () => undefined;
  }
  const onVisibility = () => listener(page.visibilityState === "hidden" ? "hidden" : "visible");
  const onShow = () => listener("visible");
  const onOnline = () => listener("online");
  page.addEventListener("visibilitychange", onVisibility);
  frame.addEventListener("pageshow", onShow);
  frame.addEventListener("online", onOnline);
  return () => {
    page.removeEventListener("visibilitychange", onVisibility);
    frame.removeEventListener("pageshow", onShow);
    frame.removeEventListener("online", onOnline);
  };
}
