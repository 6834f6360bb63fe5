/**
 * Everything that this package takes from outside: time, randomness, network, visibility of the page.
 *
 * The state machines take times as arguments and never look at a clock; the shells around them, the
 * links included, take them from here and from nowhere else. Tests and runtimes other than a browser
 * bring their own.
 *
 * @module
 */

/**
 * What happened to the page or its network: it is shown or hidden; the network came back; the page is left
 * (closed, reloaded, or put aside by the browser, so that no more of its code runs); or a page that was put
 * aside is here again.
 */
export type WakeReason = "visible" | "hidden" | "online" | "leave" | "return";

/** What the package needs of its surroundings. */
export interface Environment {
  /** Milliseconds since the Unix epoch, for times that people see or a server reads. It may jump. */
  now(): number;
  /**
   * Milliseconds since any moment, for everything that is a duration. It only moves forward, also when
   * somebody sets the clock.
   */
  monotonicNow(): number;
  /** `length` random bytes of cryptographic quality. */
  randomBytes(length: number): Uint8Array;
  /**
   * Calls `action` once, when {@link Environment.monotonicNow} has advanced by `delayMs`, and never before. The
   * returned function cancels it.
   */
  schedule(delayMs: number, action: () => void): () => void;
  /** `fetch` of the platform. */
  readonly fetch: typeof globalThis.fetch;
  /** `WebTransport`, where the platform has one that works; else `null`. */
  readonly WebTransport: typeof globalThis.WebTransport | null;
  /** `WebSocket`, where the platform has one; else `null`. */
  readonly WebSocket: typeof globalThis.WebSocket | null;
  /**
   * Calls `listener` when the page is shown, hidden or left, or the network comes back. The returned
   * function removes the listener.
   */
  onWake(listener: (reason: WakeReason) => void): () => void;
  /**
   * Calls `listener` with each URL that the Content-Security-Policy of the page refused to connect to. The
   * returned function removes the listener. Left out where there is no such policy.
   */
  onPolicyViolation?(listener: (url: string) => void): () => void;
  /** Whether the page is visible. */
  isVisible(): boolean;
}

/**
 * The environment of a browser page. Parts that the platform lacks are `null` or never happen.
 *
 * @example
 * const environment = { ...browserEnvironment(), WebTransport: null }; // WebSocket only
 */
export function browserEnvironment(): Environment {
  return {
    now: () => Date.now(),
    monotonicNow: () => performance.now(),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    schedule: schedulePunctually,
    fetch: (input, init) => globalThis.fetch(input, init),
    WebTransport: isWebKit() ? null : (globalThis.WebTransport ?? null),
    WebSocket: globalThis.WebSocket ?? null,
    onWake,
    onPolicyViolation,
    isVisible: () => globalThis.document?.visibilityState !== "hidden",
  };
}

/**
 * WebKit (Safari, and every browser on iOS) has WebTransport, but never renews the receive credit:
 * a session stalls without an error after about 16 MiB (WebKit bug 319818).
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
  const onShow = (event: Event) => listener((event as PageTransitionEvent).persisted ? "return" : "visible");
  const onHide = () => listener("leave");
  const onOnline = () => listener("online");
  page.addEventListener("visibilitychange", onVisibility);
  frame.addEventListener("pageshow", onShow);
  frame.addEventListener("pagehide", onHide);
  frame.addEventListener("online", onOnline);
  return () => {
    page.removeEventListener("visibilitychange", onVisibility);
    frame.removeEventListener("pageshow", onShow);
    frame.removeEventListener("pagehide", onHide);
    frame.removeEventListener("online", onOnline);
  };
}

/** A page is told at its document, a worker at its global scope; other platforms have no such events. */
function onPolicyViolation(listener: (url: string) => void): () => void {
  const target: Document | typeof globalThis = globalThis.document ?? globalThis;
  if (typeof target.addEventListener !== "function") {
    return () => undefined;
  }
  const onViolation = (event: Event) => {
    const { disposition, effectiveDirective, blockedURI } = event as SecurityPolicyViolationEvent;
    if (disposition === "enforce" && effectiveDirective === "connect-src") {
      listener(blockedURI);
    }
  };
  target.addEventListener("securitypolicyviolation", onViolation);
  return () => target.removeEventListener("securitypolicyviolation", onViolation);
}

/** The longest delay that a timer takes; a longer one would ring at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A timer can ring a fraction of a millisecond before `performance.now` says that it is due: then it is set again. */
function schedulePunctually(delayMs: number, action: () => void): () => void {
  const dueAtMs = performance.now() + delayMs;
  let timer: ReturnType<typeof setTimeout>;
  const set = () => {
    const leftMs = Math.max(0, dueAtMs - performance.now());
    timer = setTimeout(ring, Math.min(Math.ceil(leftMs), TIMER_MS_MAX));
  };
  const ring = () => (performance.now() < dueAtMs ? set() : action());
  set();
  return () => clearTimeout(timer);
}
