/**
 * The wire: every frame with its encoding, the envelope, and the conversation without IO.
 *
 * For tests, tools and other runtimes. An application needs only `@nowrong/sdk`.
 *
 * @module
 */

export * from "../generated/chat.js";
export * from "../generated/code.js";
export * from "../generated/connect.js";
export * from "../generated/frame.js";
export * from "../generated/history.js";
export * from "../generated/id.js";
export * from "../generated/limits.js";
export * from "../generated/position.js";
export * from "../generated/queue.js";
export * from "../generated/signal.js";
export * from "../generated/version.js";
export { Reader, WireError, Writer } from "./codec.js";
export { type Closed, Conversation, type Input, type Output, type Phase } from "./conversation.js";
export {
  Decoder,
  decodeDatagram,
  encode,
  encodeDatagram,
  envelop,
  FrameTooLargeError,
  type RawFrame,
} from "./envelope.js";
