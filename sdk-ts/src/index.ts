/**
 * NoWrong in the browser: anonymous, ephemeral, realtime chat over WebTransport and WebSocket.
 *
 * Start at {@link NoWrong}. The wire itself is in `@nowrong/sdk/protocol`.
 *
 * @module
 */

export { Chat } from "./chat/chat.js";
export type { ChatEnd, ChatEvents, ChatMessage, MessageStatus, Sent } from "./chat/view.js";
export { type ConnectOptions, NoWrong, type NoWrongOptions, type RegisterOptions } from "./client.js";
export { Connection } from "./connection/connection.js";
export type {
  ConnectionEvents,
  ConnectionFailure,
  ConnectionState,
  ConnectionStats,
} from "./connection/view.js";
export type { Unsubscribe } from "./emitter.js";
export { browserEnvironment, type Environment, type WakeReason } from "./environment.js";
export {
  ClosedError,
  ConnectionClosedError,
  type FieldError,
  NetworkError,
  type NetworkFailure,
  NoWrongError,
  QueueFullError,
  RequestError,
  TimeoutError,
  TransportError,
} from "./error.js";
export type { Body, EndReason, Member, SeatState, Why } from "./generated/chat.js";
export { CloseCode, ErrorCode } from "./generated/code.js";
export type { ChatId, ClientMessageId, TicketId } from "./generated/id.js";
export * as limits from "./generated/limits.js";
export { comparePosition, type Position } from "./generated/position.js";
export type { Stage } from "./generated/queue.js";
export type { PresenceState } from "./generated/signal.js";
export type { TransportName } from "./link/link.js";
export { Ticket, type TicketEvents, type TicketStatus } from "./queue/ticket.js";
export type { AccountData, AgeBracket, Category, User, UserChange } from "./rest/api.js";
export { memoryStorage, type StoredTokens, type TokenStorage, webTokenStorage } from "./rest/tokens.js";
