import fc from "fast-check";
import { describe, expect, it } from "vitest";
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
  unknownNumber,
  utf8Length,
  WireError,
  Writer,
  writeBool,
  writeFramed,
  writeList,
  writeOption,
  writeRaw,
  writeString,
  writeU8,
  writeU16,
  writeU32,
  writeU64,
  writeUuid,
} from "./codec.js";

/** Text of code points of one to four bytes. */
const TEXT = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 0x7f }),
      fc.integer({ min: 0x80, max: 0x7ff }),
      fc.integer({ min: 0x800, max: 0xd7ff }),
      fc.integer({ min: 0xe000, max: 0xffff }),
      fc.integer({ min: 0x1_0000, max: 0x10_ffff }),
    ),
    { maxLength: 80 },
  )
  .map((points) => String.fromCodePoint(...points));

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
      fc.property(TEXT, (text) => {
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

  it.each([
    "01890a5dac96774bbcceb302099a8057",
    "01890a5d-ac96-774b-bcce-b302099a805",
    "01890a5d-ac96-774b-bcce-b302099a80577",
    "x1890a5d-ac96-774b-bcce-b302099a8057",
    "01890a5d-ac96-774b-bcce-b302099a805g",
    " 01890a5d-ac96-774b-bcce-b302099a8057",
    "01890a5d-ac96-774b-bcce-b302099a8057\n",
  ])("of another form are refused: %j", (text) => {
    expect(() => written((writer) => writeUuid(writer, text))).toThrow("an id is not a UUID");
  });
});

describe("a writer", () => {
  it("grows as it is written to, and keeps what is there", () => {
    const writer = new Writer(2);
    const memories = new Set<Uint8Array>();
    for (let byte = 0; byte < 100; byte += 1) {
      writeU8(writer, byte);
      memories.add(writer.bytes);
    }
    // 2, 4, 8 … 128: each time twice as much.
    expect(memories.size).toBe(7);
    expect([...writer.view()]).toEqual(Array.from({ length: 100 }, (_, byte) => byte));
    expect(writer.bytes.length).toBeLessThanOrEqual(128);
    writeRaw(writer, new Uint8Array(1_000).fill(7));
    expect(writer.length).toBe(1_100);
    expect(writer.bytes.length).toBe(1_100);
  });

  it("keeps its memory for the next frame, and hands out copies of its own", () => {
    const writer = new Writer(8);
    writeU8(writer, 1);
    const { bytes } = writer;
    const first = writer.finish();
    writeU8(writer.reset(), 2);
    expect(writer.bytes).toBe(bytes);
    expect([first, writer.finish()]).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
  });

  it("holds 256 bytes without growing, unless it is told otherwise", () => {
    expect(new Writer().bytes.length).toBe(256);
  });
});

describe("bytes and values that are refused", () => {
  it.each<[string, () => unknown, string]>([
    [
      "a length beyond the end",
      () => new Reader(unhex("0102")).take(3),
      "3 bytes are claimed and 2 are left",
    ],
    ["an end", () => readU8(new Reader(unhex(""))), "the bytes end early"],
    ["a bool", () => readBool(new Reader(unhex("02"))), "2 is neither true nor false"],
    [
      "a list longer than its bytes",
      () => readList(new Reader(unhex("0301")), readU8),
      "3 items are claimed and 1 bytes are left",
    ],
    [
      "a wide varint",
      () => readU16(new Reader(unhex("fc01000000"))),
      "a varint of 4 bytes where 2 are allowed",
    ],
    [
      "a number over 2^53 - 1",
      () => readU64(new Reader(unhex("fd00000000000020" + "00"))),
      "an integer is over 2^53 - 1",
    ],
    ["text", () => readString(new Reader(unhex("01ff"))), "a string is not UTF-8"],
    ["an integer", () => written((writer) => writeU8(writer, -1)), "-1"],
    ["a value of an open enum", () => unknownNumber("left"), `"left"`],
    ["a value of an open enum without a number", () => unknownNumber("unknown:x"), `"unknown:x"`],
    ["a value of an open enum by another name", () => unknownNumber("UNKNOWN:7"), `"UNKNOWN:7"`],
  ])("with the reason: %s", (_, act, why) => {
    expect(act).toThrow(
      expect.objectContaining({ name: "WireError", message: expect.stringContaining(why) }),
    );
  });

  it("keeps the platform's reason as the cause", () => {
    try {
      decodeUtf8(unhex("ff"));
    } catch (error) {
      expect((error as Error).cause).toBeInstanceOf(TypeError);
    }
    expect.assertions(1);
  });
});

describe("the bounds of the small readers and writers", () => {
  it("are those of their types", () => {
    expect(written((writer) => writeU8(writer, 255))).toBe("ff");
    expect(written((writer) => writeU16(writer, 65_535))).toBe("fbffff");
    expect(written((writer) => writeU32(writer, 2 ** 32 - 1))).toBe("fcffffffff");
    expect(readU16(new Reader(unhex("fbffff")))).toBe(65_535);
    expect(readU32(new Reader(unhex("fcffffffff")))).toBe(2 ** 32 - 1);
    expect(readU64(new Reader(unhex("fdffffffffffff1f00")))).toBe(Number.MAX_SAFE_INTEGER);
    expect(written((writer) => writeBool(writer, true)) + written((writer) => writeBool(writer, false))).toBe(
      "0100",
    );
    expect(readBool(new Reader(unhex("01")))).toBe(true);
    expect(unknownNumber("unknown:77")).toBe(77);
    expect(utf8Length("aö€")).toBe(6);
  });

  it("has lists and strings that fill their bytes", () => {
    const reader = new Reader(unhex("020102" + "03616263"));
    expect(readList(reader, readU8)).toEqual([1, 2]);
    expect(readString(reader)).toBe("abc");
    expect(reader.remaining).toBe(0);
  });

  it("reads and writes a string of any length around that where the platform's coder takes over", () => {
    for (const length of [0, 1, 63, 64, 65, 66, 250, 251]) {
      for (const letter of ["a", "ö", "\x7f", "\x80"]) {
        const text = "a".repeat(Math.max(0, length - 1)) + (length === 0 ? "" : letter);
        const writer = new Writer(1);
        writeString(writer, text);
        const encoded = new TextEncoder().encode(text);
        const prefix =
          encoded.length < 251
            ? hex(Uint8Array.of(encoded.length))
            : `fb${hex(Uint8Array.of(encoded.length & 255, encoded.length >> 8))}`;
        expect(hex(writer.view())).toBe(prefix + hex(encoded));
        expect(readString(new Reader(writer.view()))).toBe(text);
      }
    }
  });

  it("writes nothing of a short string that is not ASCII before its true length", () => {
    const writer = new Writer(4);
    writeU8(writer, 9);
    writeString(writer, "aö");
    expect(hex(writer.view())).toBe("09" + "03" + "61c3b6");
  });
});
