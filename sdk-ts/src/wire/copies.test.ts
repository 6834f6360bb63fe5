import { describe, expect, it } from "vitest";
import type { LaneCopy } from "../generated/connect.js";
import {
  COPY_BYTES_MAX,
  COPY_DELAY_MS,
  COPY_TAIL_MS,
  LOSSY_FOR_MS,
  SECOND_COPY_DELAY_MS,
} from "../generated/limits.js";
import { CopyReader, CopyWriter } from "./copies.js";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array | null) => (bytes === null ? null : new TextDecoder().decode(bytes));
const copy = (offset: number, text: string): LaneCopy => ({
  kind: "laneCopy",
  offset,
  bytes: encode(text),
});

function started(): CopyWriter {
  const writer = new CopyWriter();
  writer.start(0);
  return writer;
}

describe("a writer of copies", () => {
  it("copies nothing over a clean link", () => {
    const writer = new CopyWriter();
    writer.wrote(encode("hello"), 0);
    expect(writer.pollTimeout()).toBeNull();
    expect(writer.take(COPY_DELAY_MS)).toBeNull();
  });

  it("copies a write twice and later", () => {
    const writer = new CopyWriter();
    writer.wrote(encode("before"), 0);
    writer.start(0);
    writer.wrote(encode("hello"), 0);
    expect(writer.pollTimeout()).toBe(COPY_DELAY_MS);
    expect(writer.take(COPY_DELAY_MS - 1)).toBeNull();
    expect(writer.take(COPY_DELAY_MS)).toEqual(copy(6, "hello"));
    expect(writer.take(COPY_DELAY_MS)).toBeNull();
    expect(writer.pollTimeout()).toBe(SECOND_COPY_DELAY_MS);
    expect(writer.take(SECOND_COPY_DELAY_MS)).toEqual(copy(6, "hello"));
    expect(writer.pollTimeout()).toBeNull();
  });

  it("reaches back over writes shortly before", () => {
    const writer = started();
    writer.wrote(encode("old"), 0);
    writer.wrote(encode("one"), COPY_TAIL_MS + 1);
    writer.wrote(encode("two"), COPY_TAIL_MS + 2);
    expect(writer.take(COPY_TAIL_MS + 2 + COPY_DELAY_MS)).toEqual(copy(3, "onetwo"));
  });

  it("keeps a copy within a datagram", () => {
    const longest = started();
    longest.wrote(new Uint8Array(COPY_BYTES_MAX), 0);
    expect(longest.take(COPY_DELAY_MS)?.bytes).toHaveLength(COPY_BYTES_MAX);
    const writer = started();
    writer.wrote(new Uint8Array(COPY_BYTES_MAX), 0);
    writer.wrote(encode("ten bytes!"), 0);
    expect(writer.take(COPY_DELAY_MS)).toEqual(copy(COPY_BYTES_MAX, "ten bytes!"));
    writer.wrote(new Uint8Array(COPY_BYTES_MAX + 1), 0);
    expect(writer.pollTimeout()).toBeNull();
  });

  it("stops after a while", () => {
    const writer = started();
    writer.wrote(encode("hello"), LOSSY_FOR_MS - 1);
    expect(writer.pollTimeout()).not.toBeNull();
    writer.wrote(encode("hello"), LOSSY_FOR_MS);
    expect(writer.pollTimeout()).toBeNull();
    writer.start(LOSSY_FOR_MS);
    writer.wrote(encode("again"), 2 * LOSSY_FOR_MS - 1);
    expect(writer.take(2 * LOSSY_FOR_MS + COPY_DELAY_MS)).toEqual(copy(10, "again"));
  });

  it("does not copy what was before a write too long for a copy, nor once more what was", () => {
    const writer = started();
    writer.wrote(encode("one"), 0);
    writer.wrote(new Uint8Array(COPY_BYTES_MAX + 1), 1);
    writer.wrote(encode("two"), 2);
    expect(writer.take(2 + COPY_DELAY_MS)).toEqual(copy(3 + COPY_BYTES_MAX + 1, "two"));
    writer.wrote(new Uint8Array(COPY_BYTES_MAX + 1), 3);
    expect(writer.take(1_000)).toBeNull();
  });

  it("moves both copies back while more is written", () => {
    const writer = started();
    writer.wrote(encode("one"), 0);
    writer.wrote(encode("two"), 2);
    expect(writer.pollTimeout()).toBe(2 + COPY_DELAY_MS);
    expect(writer.take(2 + COPY_DELAY_MS)).toEqual(copy(0, "onetwo"));
    expect(writer.pollTimeout()).toBe(2 + SECOND_COPY_DELAY_MS);
  });

  it("fills a copy to its last byte, with writes that are as old as may be", () => {
    const writer = started();
    writer.wrote(new Uint8Array(COPY_BYTES_MAX - 3), 0);
    writer.wrote(encode("end"), COPY_TAIL_MS);
    const { offset, bytes } = writer.take(COPY_TAIL_MS + COPY_DELAY_MS) ?? copy(-1, "");
    expect([offset, bytes.length]).toEqual([0, COPY_BYTES_MAX]);
  });
});

describe("a reader of copies", () => {
  it("hands on every byte once, whichever comes first", () => {
    const reader = new CopyReader();
    expect(decode(reader.stream(encode("ab")))).toBe("ab");
    expect(decode(reader.copy(copy(1, "bcd")))).toBe("cd");
    expect(decode(reader.copy(copy(1, "bcd")))).toBe("");
    expect(reader.copy(copy(5, "fg"))).toBeNull();
    expect(decode(reader.stream(encode("c")))).toBe("");
    expect(decode(reader.stream(encode("de")))).toBe("e");
    expect(decode(reader.copy(copy(5, "fg")))).toBe("fg");
    expect(decode(reader.stream(encode("fgh")))).toBe("h");
  });
});
