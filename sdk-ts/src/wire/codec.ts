/**
 * The encoding of frame bodies: bincode's `standard` configuration, byte for byte.
 *
 * Integers over one byte are little-endian varints (below 251 one byte; 251 and a `u16`, 252 and a
 * `u32`, 253 and a `u64`), `u8` and `bool` are one byte, strings and lists carry a varint length,
 * options a 0 or 1, structs are their fields. A claimed length is checked against the bytes that are
 * there before anything is allocated. The generated modules use only these functions.
 *
 * @module
 */

/** Why bytes could not be read, or a value could not be written. */
export class WireError extends Error {
  override readonly name = "WireError";
}

const UTF8_ENCODER = new TextEncoder();
// A byte order mark is text like any other: dropping it would change the message.
const UTF8_DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Strings up to this length are read and written byte by byte; beyond it the platform's coder is faster. */
const SHORT_STRING_BYTES = 64;

const U32_RANGE = 0x1_0000_0000;

/** A buffer to write to. It grows as needed, and {@link Writer.reset} keeps the memory for the next frame. */
export class Writer {
  /** The memory. Only the first {@link Writer.length} bytes hold data. */
  bytes: Uint8Array;
  /** The number of bytes written. */
  length = 0;

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Empties the buffer. */
  reset(): this {
    this.length = 0;
    return this;
  }

  /** The bytes written, as a view that is valid until the next write. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  /** A copy of the bytes written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length) as Uint8Array<ArrayBuffer>;
  }

  /** Makes room for `extra` bytes. */
  reserve(extra: number): void {
    const needed = this.length + extra;
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
      grown.set(this.bytes);
      this.bytes = grown;
    }
  }
}

/** A buffer to read from, front to back. */
export class Reader {
  /** The bytes. */
  readonly bytes: Uint8Array;
  /** The number of bytes read. */
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The number of bytes left. */
  get remaining(): number {
    return this.bytes.length - this.at;
  }

  /** The next `length` bytes, as a view. */
  take(length: number): Uint8Array {
    if (length > this.remaining) {
      throw new WireError(`${length} bytes are claimed and ${this.remaining} are left`);
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}

/** Writes one of `0..=255`. */
export function writeU8(writer: Writer, value: number): void {
  checkInteger(value, 0xff);
  writer.reserve(1);
  writer.bytes[writer.length++] = value;
}

/** Reads a byte. */
export function readU8(reader: Reader): number {
  const byte = reader.bytes[reader.at];
  if (byte === undefined) {
    throw new WireError("the bytes end early");
  }
  reader.at += 1;
  return byte;
}

/** Writes a varint of at most 16 bits. */
export function writeU16(writer: Writer, value: number): void {
  writeVarint(writer, value, 0xffff);
}

/** Writes a varint of at most 32 bits. */
export function writeU32(writer: Writer, value: number): void {
  writeVarint(writer, value, 0xffff_ffff);
}

/** Writes a varint of at most 53 bits: the most that a number holds exactly. */
export function writeU64(writer: Writer, value: number): void {
  writeVarint(writer, value, Number.MAX_SAFE_INTEGER);
}

/** Reads a varint of at most 16 bits. */
export function readU16(reader: Reader): number {
  return readVarint(reader, 2);
}

/** Reads a varint of at most 32 bits. */
export function readU32(reader: Reader): number {
  return readVarint(reader, 4);
}

/** Reads a varint of at most 64 bits. Refuses a value over 2^53 - 1, which a number cannot hold. */
export function readU64(reader: Reader): number {
  return readVarint(reader, 8);
}

/** Writes 0 or 1. */
export function writeBool(writer: Writer, value: boolean): void {
  writeU8(writer, value ? 1 : 0);
}

/** Reads 0 or 1. */
export function readBool(reader: Reader): boolean {
  const byte = readU8(reader);
  if (byte > 1) {
    throw new WireError(`${byte} is neither true nor false`);
  }
  return byte === 1;
}

/** Writes a byte string: its length, then its bytes. */
export function writeBytes(writer: Writer, value: Uint8Array): void {
  writeU64(writer, value.length);
  writeRaw(writer, value);
}

/** Reads a byte string, as a view on the bytes being read. */
export function readBytes(reader: Reader): Uint8Array {
  return reader.take(readU64(reader));
}

/** Writes bytes without a length in front. */
export function writeRaw(writer: Writer, value: Uint8Array): void {
  writer.reserve(value.length);
  writer.bytes.set(value, writer.length);
  writer.length += value.length;
}

/** Writes a string as UTF-8. A lone surrogate becomes U+FFFD. */
export function writeString(writer: Writer, value: string): void {
  if (value.length > SHORT_STRING_BYTES || !writeAscii(writer, value)) {
    writeBytes(writer, UTF8_ENCODER.encode(value));
  }
}

/** Reads a string. Refuses bytes that are not UTF-8. */
export function readString(reader: Reader): string {
  return decodeUtf8(readBytes(reader));
}

/** Returns `bytes` as text. Refuses bytes that are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  if (bytes.length <= SHORT_STRING_BYTES) {
    let text = "";
    for (const byte of bytes) {
      if (byte > 0x7f) {
        return decodeAnyUtf8(bytes);
      }
      text += String.fromCharCode(byte);
    }
    return text;
  }
  return decodeAnyUtf8(bytes);
}

/** The number of bytes of `text` as UTF-8. */
export function utf8Length(text: string): number {
  return UTF8_ENCODER.encode(text).length;
}

/** Writes 0, or 1 and the value. */
export function writeOption<T>(
  writer: Writer,
  value: T | null,
  encode: (writer: Writer, value: T) => void,
): void {
  writeU8(writer, value === null ? 0 : 1);
  if (value !== null) {
    encode(writer, value);
  }
}

/** Reads an option. */
export function readOption<T>(reader: Reader, decode: (reader: Reader) => T): T | null {
  return readBool(reader) ? decode(reader) : null;
}

/** Writes a list: its length, then its items. */
export function writeList<T>(
  writer: Writer,
  items: readonly T[],
  encode: (writer: Writer, value: T) => void,
): void {
  writeU64(writer, items.length);
  for (const item of items) {
    encode(writer, item);
  }
}

/** Reads a list. An item takes at least a byte, so that a length over the bytes left is refused at once. */
export function readList<T>(reader: Reader, decode: (reader: Reader) => T): T[] {
  const length = readU64(reader);
  if (length > reader.remaining) {
    throw new WireError(`${length} items are claimed and ${reader.remaining} bytes are left`);
  }
  const items: T[] = [];
  while (items.length < length) {
    items.push(decode(reader));
  }
  return items;
}

/** Writes a record with its length in front, so that a later version can append fields. */
export function writeFramed<T>(writer: Writer, value: T, encode: (writer: Writer, value: T) => void): void {
  const record = new Writer();
  encode(record, value);
  writeBytes(writer, record.view());
}

/** Reads such a record; bytes after its last known field are ignored. */
export function readFramed<T>(reader: Reader, decode: (reader: Reader) => T): T {
  return decode(new Reader(readBytes(reader)));
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Writes the 16 bytes of a UUID in its text form. */
export function writeUuid(writer: Writer, value: string): void {
  if (!UUID.test(value)) {
    throw new WireError("an id is not a UUID");
  }
  writer.reserve(16);
  for (let at = 0; at < 36; at += 2) {
    if (value.charCodeAt(at) === 0x2d) {
      at += 1;
    }
    writer.bytes[writer.length++] = Number.parseInt(value.slice(at, at + 2), 16);
  }
}

/** Reads 16 bytes as the text form of a UUID: lower case, with hyphens. */
export function readUuid(reader: Reader): string {
  return uuidText(reader.take(16));
}

/** The text form of the 16 bytes of a UUID. */
export function uuidText(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < 16; at += 1) {
    text += HEX[bytes[at] ?? 0];
    if (at === 3 || at === 5 || at === 7 || at === 9) {
      text += "-";
    }
  }
  return text;
}

/** Returns the number in `unknown:N`: a value of an open enum that has no name in this version. */
export function unknownNumber(value: string): number {
  const number = Number(value.slice("unknown:".length));
  if (!value.startsWith("unknown:") || !Number.isInteger(number)) {
    throw new WireError(`${JSON.stringify(value)} is not a value of this enum`);
  }
  return number;
}

function checkInteger(value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new WireError(`${value} is not an integer between 0 and ${max}`);
  }
}

function writeVarint(writer: Writer, value: number, max: number): void {
  checkInteger(value, max);
  if (value < 251) {
    writer.reserve(1);
    writer.bytes[writer.length++] = value;
  } else if (value <= 0xffff) {
    writeLittleEndian(writer, 251, value, 2);
  } else if (value < U32_RANGE) {
    writeLittleEndian(writer, 252, value, 4);
  } else {
    writeLittleEndian(writer, 253, value, 8);
  }
}

function writeLittleEndian(writer: Writer, marker: number, value: number, width: number): void {
  writer.reserve(1 + width);
  writer.bytes[writer.length++] = marker;
  let rest = value;
  for (let at = 0; at < width; at += 1) {
    writer.bytes[writer.length++] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

function readVarint(reader: Reader, widthMax: number): number {
  const marker = readU8(reader);
  if (marker < 251) {
    return marker;
  }
  const width = 2 ** (marker - 250);
  if (width > widthMax) {
    throw new WireError(`a varint of ${width} bytes where ${widthMax} are allowed`);
  }
  const bytes = reader.take(width);
  let value = 0;
  for (let at = width - 1; at >= 0; at -= 1) {
    value = value * 256 + (bytes[at] ?? 0);
  }
  if (value > Number.MAX_SAFE_INTEGER) {
    throw new WireError("an integer is over 2^53 - 1");
  }
  return value;
}

/** Writes a short string if it is ASCII; else writes nothing and returns `false`. */
function writeAscii(writer: Writer, value: string): boolean {
  const length = value.length;
  writer.reserve(1 + length);
  const start = writer.length + 1;
  for (let at = 0; at < length; at += 1) {
    const code = value.charCodeAt(at);
    if (code > 0x7f) {
      return false;
    }
    writer.bytes[start + at] = code;
  }
  writer.bytes[start - 1] = length;
  writer.length = start + length;
  return true;
}

function decodeAnyUtf8(bytes: Uint8Array): string {
  try {
    return UTF8_DECODER.decode(bytes);
  } catch (cause) {
    throw new WireError("a string is not UTF-8", { cause });
  }
}
