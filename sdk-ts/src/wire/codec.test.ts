import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { uuidV7 } from "../id.js";
import { hex, unhex } from "../testing/hex.js";
import {
  decodeUtf8,
  Reader,
  readBool,
  readFramed,
  readList,
  readOption,
  readString,
  readU8,
  readU16,
  readU32,
  readU64,
  readUuid,
  WireError,
  Writer,
  writeFramed,
  writeList,
  writeOption,
  writeString,
  writeU8,
  writeU16,
  writeU32,
  writeU64,
  writeUuid,
} from "./codec.js";

function written(write: (writer: Writer) => void): string {
  const writer = new Writer(1);
  write(writer);
  return hex(writer.finish());
}

describe("integers", () => {
  it.each([
    [0, "00"],
    [250, "fa"],
    [251, "fbfb00"],
    [65_535, "fbffff"],
    [65_536, "fc00000100"],
    [4_294_967_295, "fcffffffff"],
    [4_294_967_296, "fd0000000001000000"],
    [Number.MAX_SAFE_INTEGER, "fdffffffffffff1f00"],
  ])("%d is %s", (value, expected) => {
    expect(written((writer) => writeU64(writer, value))).toBe(expected);
    expect(readU64(new Reader(unhex(expected)))).toBe(value);
  });

  it.each([
    ["u8", (writer: Writer) => writeU8(writer, 256)],
    ["u16", (writer: Writer) => writeU16(writer, 65_536)],
    ["u32", (writer: Writer) => writeU32(writer, 2 ** 32)],
    ["u64", (writer: Writer) => writeU64(writer, 2 ** 53)],
    ["negative", (writer: Writer) => writeU32(writer, -1)],
    ["fraction", (writer: Writer) => writeU32(writer, 1.5)],
    ["nothing", (writer: Writer) => writeU32(writer, Number.NaN)],
  ])("what does not fit is refused: %s", (_, write) => {
    expect(() => written(write)).toThrow(WireError);
  });

  it("a varint may be wider than it must, but not wider than its type", () => {
    expect(readU64(new Reader(unhex("fd0100000000000000")))).toBe(1);
    expect(() => readU16(new Reader(unhex("fc01000000")))).toThrow(WireError);
    expect(() => readU32(new Reader(unhex("fd0100000000000000")))).toThrow(WireError);
    expect(() => readU64(new Reader(unhex("fe01")))).toThrow(WireError);
    expect(() => readU64(new Reader(unhex("fdffffffffffffffff")))).toThrow(WireError);
  });
});

describe("strings", () => {
  it("are written as UTF-8 and read back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 80 }), (text) => {
        const writer = new Writer(1);
        writeString(writer, text);
        expect(readString(new Reader(writer.view()))).toBe(text);
      }),
    );
  });

  it("keep a byte order mark", () => {
    expect(decodeUtf8(unhex("efbbbf61"))).toBe("\ufeffa");
  });

  it("that are not UTF-8 are refused", () => {
    expect(() => decodeUtf8(unhex("61ff"))).toThrow(WireError);
    expect(() => decodeUtf8(new Uint8Array(100).fill(0xc0))).toThrow(WireError);
  });
});

describe("hostile bytes", () => {
  it.each([
    ["a string of 2^53 - 1 bytes", "fdffffffffffff1f00", readString],
    ["a list of 2^53 - 1 items", "fdffffffffffff1f00", (reader: Reader) => readList(reader, readU8)],
    ["a record longer than what is there", "0501", (reader: Reader) => readFramed(reader, readU8)],
    ["an option of neither 0 nor 1", "02", (reader: Reader) => readOption(reader, readU8)],
    ["a bool of neither 0 nor 1", "02", readBool],
    ["half an id", "0011", readUuid],
    ["nothing", "", readU8],
  ])("%s is refused", (_, bytes, read) => {
    expect(() => (read as (reader: Reader) => unknown)(new Reader(unhex(bytes)))).toThrow(WireError);
  });
});

describe("records", () => {
  it("may grow: what is appended is ignored", () => {
    expect(readFramed(new Reader(unhex("03070809")), readU8)).toBe(7);
  });

  it("options and lists are read back", () => {
    const writer = new Writer(1);
    writeOption(writer, null, writeU8);
    writeOption(writer, 7, writeU8);
    writeList(writer, ["a", "ö"], writeString);
    writeFramed(writer, 300, writeU16);
    const reader = new Reader(writer.view());
    expect(readOption(reader, readU8)).toBeNull();
    expect(readOption(reader, readU8)).toBe(7);
    expect(readList(reader, readString)).toEqual(["a", "ö"]);
    expect(readFramed(reader, readU16)).toBe(300);
    expect(reader.remaining).toBe(0);
  });
});

describe("ids", () => {
  it("are 16 bytes and their usual text", () => {
    const text = "01890a5d-ac96-774b-bcce-b302099a8057";
    expect(written((writer) => writeUuid(writer, text))).toBe(text.replaceAll("-", ""));
    expect(written((writer) => writeUuid(writer, text.toUpperCase()))).toBe(text.replaceAll("-", ""));
    expect(readUuid(new Reader(unhex(text.replaceAll("-", ""))))).toBe(text);
    expect(() => written((writer) => writeUuid(writer, "not an id"))).toThrow(WireError);
  });

  it("of version 7 sort by time", () => {
    expect(uuidV7(0x0189_0a5d_ac96, new Uint8Array(10).fill(0xff))).toBe(
      "01890a5d-ac96-7fff-bfff-ffffffffffff",
    );
  });
});
