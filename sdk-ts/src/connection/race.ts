/**
 * Opens a connection over whichever transport works first.
 *
 * WebTransport starts at once, if the browser has it and it did not fail here recently. A WebSocket
 * starts 300 ms later, or as soon as WebTransport has failed. The first `Welcome` wins: an open link
 * alone proves nothing. Only one attempt at a time sends `Hello`, because a second `Hello` of the same
 * user would replace the first. Each attempt has its own connect token, because a token works once.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { NetworkError, type NoWrongError, TransportError, toNoWrongError } from "../error.js";
import type { CloseCode } from "../generated/code.js";
import type { Hello } from "../generated/connect.js";
import type { LinkAddress, OpenLink, TransportName } from "../link/link.js";
import type { Alarm } from "./alarm.js";
import { closedError, Driver, type DriverListener } from "./driver.js";

/** Head start of WebTransport: a handshake on a good link takes less. */
export const HEAD_START_MS = 300;

/** Time for WebTransport from its start to `Welcome`. Firefox alone waits 30 s on a blocked port. */
export const WEBTRANSPORT_DEADLINE_MS = 3_000;

/** Time for a WebSocket from its start to `Welcome`. */
export const WEBSOCKET_DEADLINE_MS = 10_000;

/** How long an attempt that sent `Hello` may keep the others from sending theirs. */
const HELLO_TURN_MS = 1_000;

/** How long WebTransport is not tried after its first failure; doubled with each further failure. */
const FAILURE_MEMORY_MIN_MS = 10 * 60_000;

/** The longest time that WebTransport is not tried after a failure. */
const FAILURE_MEMORY_MAX_MS = 24 * 60 * 60_000;

/** The most hosts that are remembered, far more than a client visits; the oldest is dropped. */
const FAILURE_HOSTS_MAX = 32;

/** The hosts where WebTransport failed, and until when it is not tried there. */
export class FailureMemory {
  readonly #hosts = new Map<string, { untilMs: number; spanMs: number }>();

  /** Whether WebTransport failed at `url` recently. */
  isFresh(url: string, now: number): boolean {
    return (this.#hosts.get(host(url))?.untilMs ?? 0) > now;
  }

  /** Remembers a failure at `url`: 10 minutes, then twice as long each time, at most 24 h. */
  failed(url: string, now: number): void {
    const last = this.#hosts.get(host(url));
    const spanMs =
      last === undefined ? FAILURE_MEMORY_MIN_MS : Math.min(last.spanMs * 2, FAILURE_MEMORY_MAX_MS);
    this.#hosts.delete(host(url));
    this.#hosts.set(host(url), { untilMs: now + spanMs, spanMs });
    const [oldest] = this.#hosts.keys();
    if (this.#hosts.size > FAILURE_HOSTS_MAX && oldest !== undefined) {
      this.#hosts.delete(oldest);
    }
  }

  /** Forgets the failure at `url`: it worked. */
  worked(url: string): void {
    this.#hosts.delete(host(url));
  }

  /** Forgets all failures: the network has changed. */
  clear(): void {
    this.#hosts.clear();
  }
}

function host(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

/** A connect token, and the addresses where it is valid. */
export interface Grant {
  /** The token. It works once. */
  readonly connectToken: string;
  /** The address for WebTransport; `null` when the server has none. */
  readonly webtransport: LinkAddress | null;
  /** The address for the WebSocket; `null` when the server has none. */
  readonly websocket: LinkAddress | null;
}

/** The parts of a race. */
export interface RaceOptions {
  /** Time and network. */
  readonly environment: Environment;
  /** The timer for the conversations. */
  readonly alarm: Alarm;
  /** The transports to try, in the order of preference. */
  readonly transports: readonly TransportName[];
  /** Opens a link of each transport. */
  readonly openers: Readonly<Record<TransportName, OpenLink>>;
  /** Where WebTransport failed before. */
  readonly failures: FailureMemory;
  /** Asks for a connect token. */
  readonly grant: () => Promise<Grant>;
  /** Makes the first frame, when it is sent. */
  readonly hello: (connectToken: string) => Hello;
  /** Receives the events of the winner. Its `welcome` is called before {@link race} resolves. */
  readonly listener: DriverListener;
  /** Is told of each attempt that fails. */
  readonly failed?: (error: NoWrongError, transport: TransportName) => void;
  /** Aborts the race. */
  readonly signal: AbortSignal;
}

/**
 * Opens a connection. Rejects when every transport has failed: with the first failure that may pass, or else
 * with the first. Rejects with a {@link TransportError} when there is no transport to try.
 */
export function race(options: RaceOptions): Promise<Driver> {
  return new Race(options).run();
}

class Race {
  readonly #options: RaceOptions;
  readonly #attempts: Attempt[] = [];
  readonly #timers: (() => void)[] = [];
  readonly #giveUp = () => this.#fail(new NetworkError("The attempt was given up."));
  #settle: { resolve: (driver: Driver) => void; reject: (error: NoWrongError) => void } | null = null;
  #isOver = false;
  /** Starts the second attempt, if it has not started yet. */
  #startFollower: (() => void) | null = null;
  /** The attempt that sent `Hello` and has no answer yet; those in `#waiting` wait for their turn. */
  #speaking: Attempt | null = null;
  readonly #waiting: Attempt[] = [];
  #error: NoWrongError | null = null;
  /** Where WebTransport failed in this race. It counts only if another transport works. */
  #failedUrl: string | null = null;

  constructor(options: RaceOptions) {
    this.#options = options;
  }

  async run(): Promise<Driver> {
    const first = await this.#options.grant();
    if (this.#options.signal.aborted) {
      throw new NetworkError("The attempt was given up.");
    }
    this.#options.signal.addEventListener("abort", this.#giveUp);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#start(first);
    });
  }

  /** The first attempt uses the first grant; the second one asks for its own. */
  #start(first: Grant): void {
    const [leader, follower] = this.#order(first);
    if (leader === undefined) {
      this.#fail(new TransportError("The server offers no transport that can be used here."));
      return;
    }
    if (follower !== undefined) {
      this.#follow(follower);
    }
    void this.#attempt(leader, Promise.resolve(first));
  }

  #order(grant: Grant): TransportName[] {
    const { transports, failures, environment } = this.#options;
    const usable = transports.filter(
      (transport) => grant[transport] !== null && this.#isSupported(transport),
    );
    const url = grant.webtransport?.url;
    const isDoubtful = url !== undefined && failures.isFresh(url, environment.monotonicNow());
    return isDoubtful && usable.length > 1 ? usable.filter((name) => name !== "webtransport") : usable;
  }

  #isSupported(transport: TransportName): boolean {
    const { environment } = this.#options;
    return (transport === "webtransport" ? environment.WebTransport : environment.WebSocket) !== null;
  }

  #follow(transport: TransportName): void {
    this.#startFollower = () => {
      this.#startFollower = null;
      void this.#attempt(transport, this.#options.grant());
    };
    this.#later(HEAD_START_MS, () => this.#startFollower?.());
  }

  async #attempt(transport: TransportName, granted: Promise<Grant>): Promise<void> {
    const attempt = new Attempt(this.#options, transport, {
      welcomed: () => this.#win(attempt),
      failed: (error, code) => this.#lose(attempt, error, code),
    });
    this.#attempts.push(attempt);
    try {
      await attempt.open(await granted);
    } catch (error) {
      this.#lose(attempt, toNoWrongError(error), null);
      return;
    }
    if (this.#isOver) {
      attempt.abandon();
    } else if (!attempt.isGivenUp) {
      this.#takeTurn(attempt);
    }
  }

  #takeTurn(attempt: Attempt): void {
    if (this.#speaking !== null) {
      this.#waiting.push(attempt);
      return;
    }
    this.#speaking = attempt;
    attempt.begin();
    // An attempt without an answer yields when another one waits.
    this.#later(HELLO_TURN_MS, () => {
      if (this.#speaking === attempt && this.#waiting.length > 0) {
        this.#lose(attempt, new NetworkError("The server did not answer."), null);
      }
    });
  }

  #win(winner: Attempt): void {
    const { failures, environment } = this.#options;
    if (winner.transport === "webtransport") {
      failures.worked(winner.url);
    } else if (this.#failedUrl !== null) {
      failures.failed(this.#failedUrl, environment.monotonicNow());
    }
    winner.driver.hadRival = this.#attempts.some((attempt) => attempt !== winner && attempt.hasSpoken);
    this.#close(winner);
    this.#settle?.resolve(winner.driver);
  }

  #lose(attempt: Attempt, error: NoWrongError, code: CloseCode | null): void {
    if (attempt.isGivenUp) {
      return;
    }
    attempt.abandon();
    if (this.#isOver) {
      this.#options.failures.failed(attempt.url, this.#options.environment.monotonicNow());
      return;
    }
    if (code !== null) {
      // The server has refused: over another transport it would say the same.
      this.#fail(error);
      this.#options.failed?.(error, attempt.transport);
      return;
    }
    if (attempt.transport === "webtransport" && attempt.url !== "") {
      this.#failedUrl = attempt.url;
    }
    if (this.#error === null || (error.isTemporary && !this.#error.isTemporary)) {
      this.#error = error;
    }
    this.#goOn(attempt);
    this.#options.failed?.(error, attempt.transport);
  }

  #goOn(lost: Attempt): void {
    if (this.#speaking === lost) {
      this.#speaking = null;
      const next = this.#waiting.shift();
      if (next !== undefined) {
        this.#takeTurn(next);
      }
    }
    this.#startFollower?.();
    if (this.#error !== null && this.#attempts.every((attempt) => attempt.isGivenUp)) {
      this.#fail(this.#error);
    }
  }

  #fail(error: NoWrongError): void {
    this.#close(null);
    this.#settle?.reject(error);
  }

  /** Ends the race. A WebTransport that is still opening continues to its deadline, to learn whether it works. */
  #close(winner: Attempt | null): void {
    this.#isOver = true;
    this.#startFollower = null;
    this.#options.signal.removeEventListener("abort", this.#giveUp);
    for (const cancel of this.#timers) {
      cancel();
    }
    for (const attempt of this.#attempts) {
      const isProbe = winner !== null && attempt.isOpening && attempt.transport === "webtransport";
      if (attempt !== winner && !isProbe) {
        attempt.abandon();
      }
    }
  }

  #later(delayMs: number, action: () => void): void {
    this.#timers.push(this.#options.environment.schedule(delayMs, action));
  }
}

/** The events of an attempt, for its race. */
interface AttemptEvents {
  welcomed(): void;
  /** `code` is the close code of the server, if it sent one. */
  failed(error: NoWrongError, code: CloseCode | null): void;
}

/** One attempt over one transport. */
class Attempt {
  readonly transport: TransportName;
  readonly driver: Driver;
  /** The address; empty before it is known. */
  url = "";
  /** Whether the link is not open yet. */
  isOpening = true;
  /** Whether the attempt was given up. */
  isGivenUp = false;
  /** Whether it has sent `Hello`. */
  hasSpoken = false;
  readonly #options: RaceOptions;
  readonly #events: AttemptEvents;
  readonly #given = new AbortController();
  #connectToken = "";
  #unschedule: () => void = () => undefined;

  constructor(options: RaceOptions, transport: TransportName, events: AttemptEvents) {
    this.#options = options;
    this.#events = events;
    this.transport = transport;
    this.driver = new Driver(options.environment, options.alarm, {
      welcome: (driver, welcome) => {
        this.#unschedule();
        driver.listener = options.listener;
        events.welcomed();
        options.listener.welcome(driver, welcome);
      },
      push: () => undefined,
      goAway: () => undefined,
      closed: (_, closed) => events.failed(closedError(closed), closed.code),
    });
  }

  async open(grant: Grant): Promise<void> {
    const address = grant[this.transport];
    if (address === null) {
      throw new NetworkError(`The server offers no ${this.transport}.`);
    }
    this.url = address.url;
    this.#connectToken = grant.connectToken;
    const { environment, openers } = this.#options;
    const deadlineMs = this.transport === "webtransport" ? WEBTRANSPORT_DEADLINE_MS : WEBSOCKET_DEADLINE_MS;
    this.#unschedule = environment.schedule(deadlineMs, () =>
      this.#events.failed(new NetworkError("The server did not answer."), null),
    );
    await this.driver.open(openers[this.transport], address, this.#given.signal);
    this.isOpening = false;
    if (this.isGivenUp) {
      this.driver.close();
    }
  }

  begin(): void {
    this.hasSpoken = true;
    this.driver.begin(this.#options.hello(this.#connectToken));
  }

  /** Gives the attempt up. It has no more events. */
  abandon(): void {
    this.isGivenUp = true;
    this.#unschedule();
    this.#given.abort();
    this.driver.close();
  }
}
