/**
 * A chat with a stranger: its messages, its members, and the actions of the user.
 *
 * The handle puts the parts together: the log, the rows that are shown, the outbox, the cursors and the
 * typing each have a module of their own. It never touches a link: frames go through the port.
 *
 * @module
 */

import type { Port } from "../connection/port.js";
import { Emitter, type Unsubscribe } from "../emitter.js";
import { ClosedError, type NoWrongError, RequestError } from "../error.js";
import type { ChatState, Ended, Member, Message, Why } from "../generated/chat.js";
import { ErrorCode } from "../generated/code.js";
import type { ServerFrame } from "../generated/frame.js";
import type { ChatId } from "../generated/id.js";
import { PAGE_MESSAGES_MAX } from "../generated/limits.js";
import type { Position } from "../generated/position.js";
import type { PresenceState, ReadCursor } from "../generated/signal.js";
import type { Ticket } from "../queue/ticket.js";
import { OwnCursors } from "./cursors.js";
import { ChatLog } from "./log.js";
import type { Unacked } from "./outbox.js";
import { Rows } from "./rows.js";
import { Sending } from "./sending.js";
import { OwnTyping, TypingMembers } from "./typing.js";
import type { ChatEnd, ChatEvents, ChatMessage, Sent } from "./view.js";
import { checkText, later, NOBODY } from "./view.js";

/**
 * What a chat needs of its connection, apart from frames.
 *
 * @internal
 */
export interface ChatOwner {
  /** Ends the chat and queues the user for another partner. */
  next(chat: Chat): Promise<Ticket>;
  /** The handle was closed. */
  closed(chat: Chat): void;
}

/**
 * A chat with a stranger.
 *
 * Messages survive lost connections: the SDK sends a message again until the server has acked it, and
 * fetches what was missed, in order, each message once.
 *
 * @example
 * const chat = await ticket.matched;
 * chat.on("message", (message) => show(message));
 * const sent = chat.send("hello");
 * await sent.acked;
 */
export class Chat {
  /** Its id. */
  readonly id: ChatId;
  /** Id of the category it was matched in. */
  readonly category: string;
  /** Index of the user in {@link Chat.members}. */
  readonly you: number;
  /** Why these two were matched. */
  readonly why: Why;
  /** When it began, in milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
  readonly #port: Port;
  readonly #owner: ChatOwner;
  readonly #emitter: Emitter<ChatEvents>;
  readonly #rows: Rows;
  readonly #log: ChatLog;
  readonly #sending: Sending;
  readonly #cursors: OwnCursors;
  readonly #typing: TypingMembers;
  readonly #ownTyping = new OwnTyping();
  #members: readonly Member[];
  #expiresAtMs: number;
  #unread: number;
  #end: ChatEnd | null = null;
  /** Whether the server has reported the chat on the present link: nothing is sent before that. */
  #isAttached = true;
  #isClosed = false;
  /** The position of the last resume for a hole: a second resume from there would not find more. */
  #resyncedAtSeq = -1;

  private constructor(port: Port, owner: ChatOwner, state: ChatState) {
    this.#port = port;
    this.#emitter = new Emitter(port.turn);
    this.#owner = owner;
    this.id = state.chat;
    this.category = state.category;
    this.you = state.you;
    this.why = state.why;
    this.startedAtMs = state.startedAtMs;
    this.#expiresAtMs = state.expiresAtMs;
    this.#members = state.members;
    this.#unread = state.unread;
    this.#rows = new Rows(this.you, this.partner, (seq) => this.#log.indexOf(seq));
    this.#log = new ChatLog(this.you, state.resumed, this.#rows);
    this.#cursors = new OwnCursors(port, this.id, this.#log, this.me);
    this.#sending = new Sending(port, this.id, {
      canSend: () => this.#isAttached,
      wrote: (message) => this.#rows.wrote(message),
      acked: (message, position, atMs) => this.#acked(message, position, atMs),
      failed: (message, error) => this.#failed(message, error),
    });
    this.#typing = new TypingMembers(port.environment, (member, isTyping) =>
      this.#emitter.emit("typing", { member, isTyping }),
    );
  }

  /**
   * For the connection: a chat, from what the server says of it.
   *
   * @internal
   */
  static create(port: Port, owner: ChatOwner, state: ChatState): Chat {
    return new Chat(port, owner, state);
  }

  /** Everybody in the chat, the user included. Events name a member by the index in this list. */
  get members(): readonly Member[] {
    return this.#members;
  }

  /** The user, as a member: `members[you]`. */
  get me(): Member {
    return this.#memberAt(this.you);
  }

  /** The other member. */
  get partner(): Member {
    return this.#memberAt(this.you === 0 ? 1 : 0);
  }

  /** Whether the partner is typing. */
  get isPartnerTyping(): boolean {
    return this.#typing.has(this.you === 0 ? 1 : 0);
  }

  /** The latest time at which everything in the chat is erased, in milliseconds since the Unix epoch. */
  get expiresAtMs(): number {
    return this.#end?.expiresAtMs ?? this.#expiresAtMs;
  }

  /** The number of messages of the partner that the user has not read. */
  get unread(): number {
    return this.#unread;
  }

  /** How the chat ended; `null` while it is open. */
  get end(): ChatEnd | null {
    return this.#end;
  }

  /** Whether there are older messages, which {@link Chat.history} fetches. */
  get hasOlder(): boolean {
    return this.#log.base.seq > 0;
  }

  /** The last position before the first hole: all messages up to here are held. */
  get position(): Position {
    return this.#log.position;
  }

  /**
   * The messages that are held, in the order of the chat; those not yet acked come last. The same array
   * until something changes; a message that did not change keeps its object.
   */
  get messages(): readonly ChatMessage[] {
    return this.#rows.list;
  }

  /** Calls `listener` for each event called `name`, until the returned function is called. */
  on<Name extends keyof ChatEvents>(name: Name, listener: (event: ChatEvents[Name]) => void): Unsubscribe {
    return this.#emitter.on(name, listener);
  }

  /**
   * Sends a text. It is in {@link Chat.messages} at once, and is sent as soon as there is a connection.
   *
   * @throws RequestError when the text is empty or too long.
   * @throws QueueFullError when too many messages have no ack yet.
   * @throws ClosedError when the handle was closed.
   */
  send(text: string, options: { readonly replyTo?: Position } = {}): Sent {
    this.#assertOpen();
    checkText(text);
    const { id, acked } = this.#port.turn.run(() => {
      const sent = this.#sending.send({ kind: "text", text }, options.replyTo ?? null);
      this.#ownTyping.reset();
      this.#changed();
      return sent;
    });
    const status = () => this.#rows.status(id);
    return {
      id,
      acked,
      get status() {
        return status();
      },
    };
  }

  /** The user is typing (call it at every key), or has stopped. At most one signal in 2.5 s is sent. */
  typing(isTyping = true): void {
    if (this.#end === null && this.#ownTyping.next(isTyping, this.#port.environment.monotonicNow())) {
      this.#port.send({ kind: "typing", chat: this.id, isTyping });
    }
  }

  /**
   * Tells the partner whether the user looks at the chat. The connection does this by itself when the page
   * is shown or hidden.
   */
  presence(state: PresenceState): void {
    if (this.#end === null) {
      this.#port.send({ kind: "presence", chat: this.id, state });
    }
  }

  /** The user has read all messages that are held. */
  read(): void {
    this.#unread = 0;
    this.#cursors.read();
  }

  /** Deletes a message of the user for all members. */
  async delete(position: Position): Promise<void> {
    await this.#port.perform((request) => ({ kind: "delete", request, chat: this.id, position }));
    this.#deleted(position);
  }

  /**
   * Fetches older messages into {@link Chat.messages}, at most 100. Returns whether there are more.
   */
  async history(limit: number = PAGE_MESSAGES_MAX): Promise<boolean> {
    const { base } = this.#log;
    if (base.seq === 0) {
      return false;
    }
    // The message at the base is the newest of the older ones.
    const before = { epoch: base.epoch, seq: base.seq + 1 };
    const reply = await this.#port.perform((request) => ({
      kind: "history",
      request,
      chat: this.id,
      before,
      limit: Math.min(limit, PAGE_MESSAGES_MAX),
    }));
    if (reply.kind === "page") {
      this.#log.prepend(reply.messages, !reply.hasMore);
      this.#changed();
    }
    return this.hasOlder;
  }

  /** Ends the chat. */
  async leave(): Promise<void> {
    await this.#finish((request) => ({ kind: "leave", request, chat: this.id }));
  }

  /** Ends the chat. The two are never matched again; the partner only sees that the user left. */
  async block(): Promise<void> {
    await this.#finish((request) => ({ kind: "block", request, chat: this.id }));
  }

  /** Ends the chat and queues the user for another partner in its category. */
  next(): Promise<Ticket> {
    return this.#owner.next(this);
  }

  /** Closes the handle: no more events, no more resends. The chat stays open; {@link Chat.leave} ends it. */
  close(): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#stopSignals();
      this.#port.turn.run(() => this.#sending.stop(new ClosedError("The chat's handle was closed.")));
      this.#emitter.clear();
      this.#owner.closed(this);
    }
  }

  /** As {@link Chat.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /**
   * For the connection: the server has reported the chat on a new link.
   *
   * @internal
   */
  attach(state: ChatState): void {
    this.#members = state.members;
    this.#expiresAtMs = state.expiresAtMs;
    this.#unread = state.unread;
    this.#log.resume(state.resumed);
    this.#rows.partnerMoved(this.partner);
    this.#isAttached = true;
    this.#changed();
    this.#cursors.reset(this.me);
    this.#sending.flush();
  }

  /**
   * For the connection: whether the server has still to say of some messages whether they arrived.
   *
   * @internal
   */
  get isUnsettled(): boolean {
    return this.#sending.outbox.messages.length > 0;
  }

  /**
   * For the connection: there is a link. Of a chat that has ended, the server can be asked over any: what was sent
   * and has no reply is sent again.
   *
   * @internal
   */
  settle(): void {
    if (this.#end !== null) {
      this.#isAttached = true;
      this.#sending.flush();
    }
  }

  /**
   * For the connection: there is no room for the chat any more, so nobody will learn which of its last messages
   * arrived.
   *
   * @internal
   */
  forgotten(): void {
    this.#port.turn.run(() =>
      this.#settleAll(this.#sending.stop(new RequestError({ code: ErrorCode.CHAT_ENDED }))),
    );
  }

  /**
   * For the connection: the link is lost.
   *
   * @internal
   */
  detach(): void {
    this.#isAttached = false;
    this.#sending.linkLost();
    this.#typing.clear();
    this.#ownTyping.reset();
  }

  /**
   * For the connection: the user has ended the chat, and the server has confirmed it.
   *
   * @internal
   */
  leftByUser(): void {
    this.#ended({ reason: "left", member: this.you, expiresAtMs: this.#expiresAtMs });
  }

  /**
   * For the connection: a frame about this chat.
   *
   * @internal
   */
  handle(frame: ServerFrame): void {
    switch (frame.kind) {
      case "message":
        this.#handleMessage(frame);
        break;
      case "deleted":
        this.#deleted(frame.position);
        break;
      case "readCursor":
        this.#handleReadCursor(frame);
        break;
      case "memberTyping":
        this.#typing.signal(frame.member, frame.isTyping);
        break;
      case "memberPresence":
        this.#emitter.emit("presence", { member: frame.member, state: frame.state });
        break;
      case "seat":
        this.#updateMember(frame.member, { seat: frame.state, heldUntilMs: frame.heldUntilMs });
        this.#emitter.emit("seat", frame);
        break;
      case "idle":
        this.#emitter.emit("idle", { endsAtMs: frame.endsAtMs });
        break;
      case "ended":
        this.#handleEnded(frame);
        break;
      case "gone":
        this.#ended({ reason: null, member: null, expiresAtMs: this.#port.environment.now() });
        this.settle();
        break;
      default:
    }
  }

  #handleMessage(message: Message): void {
    if (this.#log.insert(message) === "new") {
      if (message.member !== this.you) {
        this.#unread += 1;
        this.#typing.signal(message.member, false);
      }
      this.#changed();
      const shown = this.#rows.at(message.position.seq);
      if (shown !== null) {
        this.#emitter.emit("message", shown);
      }
    }
    this.#cursors.advance();
    this.#checkHole();
  }

  /** A hole that unacked messages of the user cannot explain means that messages were lost. */
  #checkHole(): void {
    if (this.#log.missing <= this.#sending.outbox.inFlight) {
      return;
    }
    const { seq } = this.#log.position;
    if (this.#resyncedAtSeq === seq) {
      this.#log.skipHole();
    } else {
      this.#resyncedAtSeq = seq;
      this.#port.resync();
    }
  }

  #handleReadCursor(cursor: ReadCursor): void {
    const { member } = cursor;
    const known = this.#members[member];
    if (known === undefined) {
      return;
    }
    const delivered = later(known.delivered, cursor.delivered);
    const read = later(known.read, cursor.read);
    this.#updateMember(member, { delivered, read });
    this.#rows.partnerMoved(this.partner);
    this.#changed();
    this.#emitter.emit("read", { member, delivered, read });
  }

  #handleEnded({ reason, member, expiresAtMs }: Ended): void {
    if (this.#end === null) {
      this.#ended({ reason, member, expiresAtMs });
    } else {
      this.#end = { reason, member, expiresAtMs };
    }
  }

  #ended(end: ChatEnd): void {
    if (this.#end === null) {
      this.#end = end;
      this.#port.turn.run(() => {
        this.#stopSignals();
        this.#settleAll(this.#sending.end(new RequestError({ code: ErrorCode.CHAT_ENDED })));
        this.#emitter.emit("ended", end);
      });
    }
  }

  /** These messages have left the outbox. */
  #settleAll(messages: readonly Unacked[]): void {
    for (const { clientMessageId } of messages) {
      this.#rows.settled(clientMessageId);
    }
    this.#changed();
  }

  #stopSignals(): void {
    this.#cursors.stop();
    this.#typing.clear();
  }

  async #finish(make: Parameters<Port["perform"]>[0]): Promise<void> {
    try {
      await this.#port.perform(make);
    } catch (error) {
      const isOver = error instanceof RequestError && error.code === ErrorCode.CHAT_ENDED;
      if (!isOver) {
        throw error;
      }
    }
    this.leftByUser();
  }

  #acked({ clientMessageId, body, replyTo }: Unacked, position: Position, atMs: number): void {
    const place = { chat: this.id, position, member: this.you };
    this.#rows.settled(clientMessageId);
    this.#log.insert({ kind: "message", ...place, clientMessageId, atMs, replyTo, body });
    this.#changed();
    this.#checkHole();
  }

  #failed({ clientMessageId: id, body }: Unacked, error: NoWrongError): void {
    this.#rows.settled(id);
    this.#changed();
    if (this.#end === null) {
      this.#emitter.emit("failed", { id, body, error });
    }
  }

  #deleted(position: Position): void {
    if (this.#log.delete(position)) {
      this.#port.turn.run(() => {
        this.#changed();
        this.#emitter.emit("deleted", { position });
      });
    }
  }

  #changed(): void {
    this.#emitter.emitMade("change", () => this.messages);
  }

  #memberAt(index: number): Member {
    return this.#members[index] ?? NOBODY;
  }

  #updateMember(index: number, change: Partial<Member>): void {
    this.#members = this.#members.map((member, at) => (at === index ? { ...member, ...change } : member));
  }

  #assertOpen(): void {
    if (this.#end !== null) {
      throw new RequestError({ code: ErrorCode.CHAT_ENDED });
    }
    if (this.#isClosed) {
      throw new ClosedError("The chat's handle was closed.");
    }
  }
}
