/**
 * The envelope around a frame.
 *
 * On a stream and inside a WebSocket message: `varint type · varint length · body`. In a datagram:
 * `varint type · body`. {@link Decoder} splits the bytes of a lane into frames. It never holds more
 * than one frame of the allowed length and one read, whatever length the peer claims.
 *
 * @module
 */

import { type ClientFrame, clientFrameType, encodeClientFrame, type Lane } from "../generated/frame.js";
import { Reader, readU64, WireError, Writer, writeRaw, writeU32, writeU64 } from "./codec.js";

/** A lane that is a stream. */
export type StreamLane = Exclude<Lane, "datagram">;

/** A frame, as it is on the wire. */
export interface RawFrame {
  /** Type number, known or not. */
  readonly type: number;
  /** Encoded body. */
  readonly body: Uint8Array;
}

/** A frame claims a body that is longer than the limit. */
export class FrameTooLargeError extends WireError {}

const BODY = new Writer(1024);
const OUT = new Writer(1024);

/** Returns `frame` in its stream envelope. */
export function encode(frame: ClientFrame): Uint8Array<ArrayBuffer> {
  encodeClientFrame(BODY.reset(), frame);
  return envelop(clientFrameType(frame), BODY.view());
}

/** Returns an encoded body in its stream envelope. */
export function envelop(type: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  writeU32(OUT.reset(), type);
  writeU64(OUT, body.length);
  writeRaw(OUT, body);
  return OUT.finish();
}

/** Returns `frame` in its datagram envelope. */
export function encodeDatagram(frame: ClientFrame): Uint8Array<ArrayBuffer> {
  writeU32(OUT.reset(), clientFrameType(frame));
  encodeClientFrame(OUT, frame);
  return OUT.finish();
}

/**
 * Reads a datagram.
 *
 * @throws WireError when there is no type.
 */
export function decodeDatagram(bytes: Uint8Array): RawFrame {
  const reader = new Reader(bytes);
  const type = readType(reader);
  return { type, body: reader.take(reader.remaining) };
}

/** Splits the bytes of one lane into frames. */
export class Decoder {
  #buffer = new Uint8Array(0);
  #start = 0;

  /** Whether a frame has begun and is not complete. */
  get isPartial(): boolean {
    return this.#start < this.#buffer.length;
  }

  /** Adds the next bytes of the lane. Afterwards, call {@link Decoder.nextFrame} until it returns `null`. */
  push(bytes: Uint8Array): void {
    const rest = this.#buffer.subarray(this.#start);
    const joined = new Uint8Array(rest.length + bytes.length);
    joined.set(rest);
    joined.set(bytes, rest.length);
    this.#buffer = joined;
    this.#start = 0;
  }

  /**
   * Returns the next complete frame with a body of at most `limit` bytes, or `null` until more bytes come.
   * The body is a view of bytes that are never overwritten.
   *
   * @throws WireError when the header is malformed or claims too much. The lane cannot be read any further.
   */
  nextFrame(limit: number): RawFrame | null {
    const header = readHeader(this.#buffer.subarray(this.#start));
    if (header === null) {
      return null;
    }
    if (header.length > limit) {
      throw new FrameTooLargeError(`a frame of ${header.length} bytes is over the limit of ${limit}`);
    }
    const { reader } = header;
    if (header.length > reader.remaining) {
      return null;
    }
    const body = reader.take(header.length);
    this.#start += reader.at;
    return { type: header.type, body };
  }
}

/** Reads a header, with what follows it; returns `null` while bytes of the header are missing. */
function readHeader(bytes: Uint8Array): { type: number; length: number; reader: Reader } | null {
  const typeWidth = varintWidth(bytes[0]);
  const lengthWidth = varintWidth(bytes[typeWidth]);
  if (typeWidth + lengthWidth > bytes.length) {
    return null;
  }
  const reader = new Reader(bytes);
  return { type: readType(reader), length: readU64(reader), reader };
}

/** A type has at most 32 bits, but its varint may be wider than necessary. */
function readType(reader: Reader): number {
  const type = readU64(reader);
  if (type > 0xffff_ffff) {
    throw new WireError(`${type} is not a frame type`);
  }
  return type;
}

/** The number of bytes of the varint that begins with `marker`. */
function varintWidth(marker: number | undefined): number {
  if (marker === undefined || marker < 251) {
    return 1;
  }
  if (marker > 253) {
    throw new WireError(`a frame header begins with ${marker}`);
  }
  return 1 + 2 ** (marker - 250);
}
