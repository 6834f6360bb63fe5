/**
 * A connection that lasts: one link at a time, and a new one whenever a link is lost.
 *
 * It owns the life cycle of the links (race, backoff, moves, wake-ups) and passes their frames to the
 * queue and the chats. An application sees a lost link only in {@link Connection.state}: no message is
 * lost or doubled. Whatever happens to it, and whatever is called, is one step of its turn: listeners are
 * called after the step, and may call anything.
 *
 * @module
 */

import { Chat } from "../chat/chat.js";
import { Emitter, Turn, type Unsubscribe } from "../emitter.js";
import type { Environment, WakeReason } from "../environment.js";
import {
  ClosedError,
  ConnectionClosedError,
  NetworkError,
  type NoWrongError,
  TransportError,
  toNoWrongError,
} from "../error.js";
import type { ChatState } from "../generated/chat.js";
import { CloseCode } from "../generated/code.js";
import type { GoAway, Hello, Limits, Resume, Welcome } from "../generated/connect.js";
import type { ServerFrame } from "../generated/frame.js";
import type { ChatId } from "../generated/id.js";
import { RESUME_CHATS_MAX } from "../generated/limits.js";
import { VERSION_RANGE_SUPPORTED } from "../generated/version.js";
import type { TransportName } from "../link/link.js";
import { lackOfTransport, openers } from "../link/openers.js";
import { Queue } from "../queue/queue.js";
import type { Ticket } from "../queue/ticket.js";
import type { Closed } from "../wire/conversation.js";
import { Alarm } from "./alarm.js";
import { Backoff } from "./backoff.js";
import { closedError, type Driver, type DriverListener } from "./driver.js";
import { Jobs } from "./jobs.js";
import type { Port } from "./port.js";
import { type FailureMemory, type Grant, race } from "./race.js";
import { Requests } from "./requests.js";
import type { ConnectionEvents, ConnectionFailure, ConnectionState, ConnectionStats } from "./view.js";

/** Name and version of this library, for the statistics of the operator. A test compares it with package.json. */
const AGENT = "nowrong-sdk/0.1.0";

/** After a wake-up, or when a reply is late, the server has this long to answer a ping. */
const CHECK_DEADLINE_MS = 3_000;

/** The `Hello` of an attempt that was given up can still reach the server this much later. */
const RIVAL_MS = 30_000;

/**
 * The parts of a connection.
 *
 * @internal
 */
export interface ConnectionOptions {
  /** Time, randomness, network. */
  readonly environment: Environment;
  /** The transports to try, in the order of preference. */
  readonly transports: readonly TransportName[];
  /** Where WebTransport failed before. */
  readonly failures: FailureMemory;
  /** Asks for a connect token. */
  readonly grant: () => Promise<Grant>;
}

/**
 * A connection that lasts. Made by `NoWrong.connect`. It connects by itself, and again after each loss.
 *
 * @example
 * const connection = client.connect();
 * connection.on("state", (state) => banner(state));
 * const ticket = await connection.join("music");
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #turn = new Turn();
  readonly #emitter = new Emitter<ConnectionEvents>(this.#turn);
  readonly #alarm: Alarm;
  readonly #requests: Requests;
  readonly #queue: Queue;
  readonly #chats = new Map<ChatId, Chat>();
  readonly #jobs: Jobs;
  readonly #backoff = new Backoff();
  readonly #stopWake: () => void;
  readonly #port: Port;
  readonly #listener: DriverListener;
  #transports: readonly TransportName[];
  #state: ConnectionState = "connecting";
  #error: NoWrongError | null = null;
  #failure: ConnectionFailure | null = null;
  /** Whether the page was left: then nothing is opened before it is back. */
  #isAway = false;
  #driver: Driver | null = null;
  #chat: Chat | null = null;
  #limits: Limits | null = null;
  #connectionId: string | null = null;
  #clockOffsetMs = 0;
  #links = 0;
  #openedAtMs = 0;
  /** Aborts the race that is running. */
  #race: AbortController | null = null;
  #cancelWait: () => void = () => undefined;
  #cancelMove: () => void = () => undefined;
  /** The address that a `GoAway` gave; used for one attempt. */
  #endpoint: GoAway["endpoint"] = null;

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#transports = options.transports;
    this.#alarm = new Alarm(options.environment, this.#turn);
    const check = () => this.#driver?.check(CHECK_DEADLINE_MS);
    this.#requests = new Requests(options.environment, this.#alarm, check);
    this.#port = this.#makePort();
    this.#jobs = new Jobs(this.#port);
    this.#queue = new Queue(this.#port);
    this.#listener = {
      welcome: (driver, welcome) => this.#turn.run(() => this.#welcomed(driver, welcome)),
      push: (frame) => this.#turn.run(() => this.#handle(frame)),
      goAway: (driver, goAway) => this.#goAway(driver, goAway),
      closed: (driver, closed) => this.#turn.run(() => this.#lost(driver, closed)),
    };
    this.#stopWake = options.environment.onWake((reason) => this.#turn.run(() => this.#wake(reason)));
    void this.#connect();
  }

  /**
   * For the client: makes a connection, which starts to connect at once.
   *
   * @internal
   */
  static create(options: ConnectionOptions): Connection {
    return new Connection(options);
  }

  /** Its state. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Why it is closed; `null` while it is not. */
  get error(): NoWrongError | null {
    return this.#error;
  }

  /**
   * What the last attempt to connect failed with, or how the last link was lost; `null` once a link is open,
   * and before the first attempt has ended.
   */
  get failure(): ConnectionFailure | null {
    return this.#failure;
  }

  /** The transport of the present link, as the link itself reports it; `null` while there is none. */
  get transport(): TransportName | null {
    return this.#driver?.transport ?? null;
  }

  /** The id of the present connection in the logs of the server; `null` before the first `Welcome`. */
  get id(): string | null {
    return this.#connectionId;
  }

  /** The limits of the server for its clients; `null` before the first `Welcome`. */
  get limits(): Limits | null {
    return this.#limits;
  }

  /** The ticket, while the user waits for a partner; else `null`. */
  get ticket(): Ticket | null {
    return this.#queue.ticket;
  }

  /** The chat that opened last, which may have ended; `null` before the first. */
  get chat(): Chat | null {
    return this.#chat;
  }

  /** The clock of the server, in milliseconds since the Unix epoch: for countdowns to its times. */
  serverTimeMs(): number {
    return this.#options.environment.monotonicNow() + this.#clockOffsetMs;
  }

  /** Counters of the present link. */
  stats(): ConnectionStats {
    const none = { sentBytes: 0, receivedBytes: 0, droppedSignals: 0, roundTripMs: null };
    const driver = this.#driver?.stats() ?? { ...none, unknownFrames: 0, droppedDatagrams: 0 };
    return { ...driver, transport: this.transport, links: this.#links };
  }

  /** Calls `listener` for each event called `name`, until the returned function is called. */
  on<Name extends keyof ConnectionEvents>(
    name: Name,
    listener: (event: ConnectionEvents[Name]) => void,
  ): Unsubscribe {
    return this.#emitter.on(name, listener);
  }

  /**
   * Queues the user for a partner in a category. Resolves once the user is queued; `ticket.matched` is the
   * chat. Without `interests`, those of the account are used.
   */
  join(category: string, options: { readonly interests?: readonly string[] } = {}): Promise<Ticket> {
    if (this.#state === "closed") {
      return Promise.reject(this.#closedError());
    }
    return this.#queue.join(category, options.interests ?? []);
  }

  /**
   * Moves to a new link, over the given transports if any. The old link is kept until the new one is open,
   * so that there is no gap.
   */
  async move(transports: readonly TransportName[] = this.#transports): Promise<void> {
    this.#transports = transports;
    this.#isAway = false;
    this.#cancelMove();
    this.#race?.abort();
    await this.#connect();
  }

  /** Closes for good. The server holds the seat in a chat for a while; to end the chat, call `leave` first. */
  close(): void {
    this.#end(new ConnectionClosedError(CloseCode.CLIENT_LEFT));
  }

  /** As {@link Connection.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #makePort(): Port {
    const isReady = () => this.#driver?.isOpen ?? false;
    return {
      environment: this.#options.environment,
      turn: this.#turn,
      get isReady() {
        return isReady();
      },
      send: (frame) => this.#driver?.send(frame),
      request: (make, settle) => this.#driver?.send(make(this.#requests.open(settle))),
      perform: (make) => this.#jobs.perform(make),
      resync: () => this.#turn.run(() => this.#resync()),
    };
  }

  /** Opens a link, with as many attempts as it takes. An open link is kept until then. */
  async #connect(retryAfterMs = 0): Promise<void> {
    let waitMs = retryAfterMs;
    const race = new AbortController();
    this.#race = race;
    while (!race.signal.aborted && this.#state !== "closed") {
      await this.#wait(waitMs);
      const error = race.signal.aborted ? null : await this.#tryOnce(race.signal);
      if (error === null) {
        return;
      }
      if (!error.isTemporary) {
        this.#end(error);
        return;
      }
      waitMs = this.#nextWaitMs(error.retryAfterMs);
    }
  }

  /** Runs one race. Returns why it failed, or `null`. */
  async #tryOnce(signal: AbortSignal): Promise<NoWrongError | null> {
    const { environment, failures } = this.#options;
    const isElsewhere = this.#endpoint !== null;
    const lack = lackOfTransport(environment, this.#transports);
    if (lack !== null) {
      return lack; // An attempt would only use up a connect token.
    }
    try {
      await race({
        environment,
        alarm: this.#alarm,
        transports: this.#transports,
        openers: openers(environment),
        failures,
        grant: () => this.#grant(),
        hello: (connectToken) => this.#hello(connectToken),
        listener: this.#listener,
        failed: (error, transport) => this.#failed({ error, transport }),
        signal,
      });
      return null;
    } catch (cause) {
      this.#endpoint = null;
      if (signal.aborted) {
        return null;
      }
      const error = toNoWrongError(cause);
      if (this.#failure?.error !== error) {
        this.#failed({ error, transport: null });
      }
      // What another node lacks, this one may have.
      return isElsewhere && error instanceof TransportError
        ? new NetworkError(error.message, { cause })
        : error;
    }
  }

  /** A failure that is not temporary is told by the state: the connection is closed, or another transport works. */
  #failed(failure: ConnectionFailure): void {
    this.#failure = failure;
    if (failure.error.isTemporary) {
      this.#emitter.emit("failure", failure);
    }
  }

  async #grant(): Promise<Grant> {
    const grant = await this.#options.grant();
    const endpoint = this.#endpoint;
    if (endpoint === null) {
      return grant;
    }
    const hash = grant.webtransport?.certificateHash ?? null;
    const at = (url: string) => (url === "" ? null : { url, certificateHash: hash });
    return { ...grant, webtransport: at(endpoint.webtransport), websocket: at(endpoint.websocket) };
  }

  #hello(connectToken: string): Hello {
    const active = [...this.#chats.values()].filter((chat) => chat.end === null);
    const resume = active
      .slice(-RESUME_CHATS_MAX)
      .map((chat): Resume => ({ chat: chat.id, position: chat.position }));
    return { kind: "hello", versions: VERSION_RANGE_SUPPORTED, connectToken, agent: AGENT, resume };
  }

  #nextWaitMs(retryAfterMs: number): number {
    const { environment } = this.#options;
    const [high = 0, low = 0] = environment.randomBytes(2);
    return this.#backoff.next(environment.monotonicNow(), (high * 256 + low) / 65_536, retryAfterMs);
  }

  #wait(delayMs: number): Promise<void> {
    this.#cancelWait();
    if (delayMs <= 0) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const unschedule = this.#options.environment.schedule(delayMs, resolve);
      this.#cancelWait = () => {
        unschedule();
        resolve();
      };
    });
  }

  #welcomed(driver: Driver, welcome: Welcome): void {
    const old = this.#driver;
    this.#driver = driver;
    this.#race = null;
    if (old !== null) {
      this.#detach();
      old.close();
    }
    const { environment } = this.#options;
    this.#links += 1;
    this.#endpoint = null;
    this.#openedAtMs = environment.monotonicNow();
    this.#backoff.opened(this.#openedAtMs);
    this.#limits = welcome.limits;
    this.#connectionId = welcome.connection;
    this.#clockOffsetMs = welcome.serverTimeMs - environment.monotonicNow();
    this.#failure = null;
    this.#setState("ready");
    this.#takeUp(welcome);
    this.#jobs.runAll();
    driver.watch(environment.isVisible());
    this.#tellPresence();
  }

  #takeUp(welcome: Welcome): void {
    if (welcome.chat !== null) {
      const known = this.#chats.get(welcome.chat.chat);
      if (known === undefined) {
        this.#open(welcome.chat);
      } else {
        known.attach(welcome.chat);
      }
    }
    for (const chat of this.#chats.values()) {
      chat.settle();
    }
    const restored = this.#queue.welcome(welcome.ticket);
    if (restored !== null) {
      this.#emitter.emit("ticket", restored);
    }
  }

  #open(state: ChatState): Chat {
    const owner = {
      next: (chat: Chat) => this.#queue.join(chat.category, [], chat),
      closed: (chat: Chat) => {
        this.#chats.delete(chat.id);
      },
    };
    const chat = Chat.create(this.#port, owner, state);
    this.#forgetOldChats();
    this.#chats.set(chat.id, chat);
    this.#chat = chat;
    this.#queue.opened(chat);
    this.#emitter.emit("chat", chat);
    return chat;
  }

  /** A few ended chats are kept; of more the oldest is dropped, but one whose messages are settled first. */
  #forgetOldChats(): void {
    const ended = [...this.#chats.values()].filter((chat) => chat.end !== null);
    ended.sort((one, other) => Number(one.isUnsettled) - Number(other.isUnsettled));
    for (const chat of ended) {
      if (this.#chats.size >= RESUME_CHATS_MAX) {
        this.#chats.delete(chat.id);
        chat.forgotten();
      }
    }
  }

  #handle(frame: ServerFrame): void {
    if (this.#requests.handle(frame)) {
      return;
    }
    switch (frame.kind) {
      case "matched":
        this.#open(frame.chat);
        break;
      case "widened":
      case "ticketEnded":
        this.#queue.handle(frame);
        break;
      default:
        if ("chat" in frame && typeof frame.chat === "string") {
          this.#chats.get(frame.chat)?.handle(frame);
        }
    }
  }

  /**
   * The server sets the time of the move, to spread its clients. Until then the link works. A link that
   * was given up may still have said it, behind the frame that ended it.
   */
  #goAway(driver: Driver, { retryAfterMs, endpoint }: GoAway): void {
    if (driver !== this.#driver) {
      return;
    }
    this.#cancelMove();
    this.#cancelMove = this.#options.environment.schedule(retryAfterMs, () => {
      this.#endpoint = endpoint;
      if (this.#race === null && this.#state === "ready") {
        void this.#connect();
      }
    });
  }

  #lost(driver: Driver, closed: Closed): void {
    if (driver !== this.#driver || this.#state === "closed") {
      return;
    }
    const isMoving = this.#race !== null;
    this.#driver = null;
    this.#cancelMove();
    this.#detach();
    if (isMoving) {
      // The `Hello` of the new link has replaced this one, as expected.
      this.#setState("reconnecting");
    } else if (closed.shouldReconnect || this.#isOwnRival(driver, closed)) {
      this.#failed({ error: closedError(closed), transport: driver.transport });
      this.#setState("reconnecting");
      void this.#connect(this.#nextWaitMs(closed.retryAfterMs));
    } else {
      this.#end(closedError(closed));
    }
  }

  /** Whether this connection was replaced by a late attempt of its own race. */
  #isOwnRival(driver: Driver, closed: Closed): boolean {
    const isEarly = this.#options.environment.monotonicNow() - this.#openedAtMs < RIVAL_MS;
    return closed.code === CloseCode.REPLACED && driver.hadRival && isEarly;
  }

  #detach(): void {
    for (const chat of this.#chats.values()) {
      chat.detach();
    }
    this.#requests.lose();
  }

  #resync(): void {
    const driver = this.#driver;
    if (driver !== null && this.#race === null) {
      this.#driver = null;
      this.#cancelMove();
      driver.close();
      this.#detach();
      this.#setState("reconnecting");
      void this.#connect();
    }
  }

  #wake(reason: WakeReason): void {
    if (reason === "leave") {
      this.#leave();
      return;
    }
    if (reason === "online") {
      this.#options.failures.clear();
    } else if (reason !== "hidden") {
      this.#return();
    }
    if (reason !== "hidden") {
      this.#driver?.check(CHECK_DEADLINE_MS);
      this.#cancelWait();
    }
    this.#driver?.watch(this.#options.environment.isVisible());
    this.#tellPresence();
  }

  /** The page is left, and may come back as it was. A link would not survive that, or outlive the page. */
  #leave(): void {
    const driver = this.#driver;
    this.#isAway = true;
    this.#driver = null;
    this.#race?.abort();
    this.#race = null;
    this.#cancelWait();
    this.#cancelMove();
    if (driver !== null) {
      driver.close();
      this.#detach();
      this.#setState("reconnecting");
    }
  }

  #return(): void {
    if (this.#isAway) {
      this.#isAway = false;
      void this.#connect();
    }
  }

  #tellPresence(): void {
    const isVisible = this.#options.environment.isVisible();
    this.#chat?.presence(isVisible ? "active" : "away");
  }

  #end(error: NoWrongError): void {
    this.#turn.run(() => this.#endNow(error));
  }

  #endNow(error: NoWrongError): void {
    if (this.#state === "closed") {
      return;
    }
    this.#error = error;
    const driver = this.#driver;
    this.#driver = null;
    this.#race?.abort();
    this.#cancelWait();
    this.#cancelMove();
    this.#stopWake();
    this.#setState("closed");
    driver?.close();
    this.#requests.lose(error);
    this.#jobs.close(error);
    this.#queue.close(error);
    for (const chat of [...this.#chats.values()]) {
      chat.close();
    }
    this.#emitter.clear();
  }

  #closedError(): NoWrongError {
    return this.#error ?? new ClosedError("The connection was closed.");
  }

  #setState(state: ConnectionState): void {
    if (this.#state !== state) {
      this.#state = state;
      this.#emitter.emit("state", state);
    }
  }
}
