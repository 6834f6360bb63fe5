import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hex, unhex } from "../testing/hex.js";
import { WireError } from "./codec.js";
import { Decoder, decodeDatagram, encode, encodeDatagram, FrameTooLargeError } from "./envelope.js";

const PING = { kind: "ping", nonce: 300 } as const;

describe("the stream envelope", () => {
  it("is type, length, body", () => {
    expect(hex(encode(PING))).toBe("0503fb2c01");
  });

  it("survives any cut", () => {
    const bytes = unhex("0503fb2c01" + "0701" + "05" + "fb2c01" + "03" + "010203");
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
        const decoder = new Decoder();
        const frames: string[] = [];
        let start = 0;
        for (const end of [...cuts.sort((a, b) => a - b), bytes.length]) {
          decoder.push(bytes.subarray(start, end));
          for (let frame = decoder.nextFrame(64); frame !== null; frame = decoder.nextFrame(64)) {
            frames.push(`${frame.type}:${hex(frame.body)}`);
          }
          start = end;
        }
        expect(frames).toEqual(["5:fb2c01", "7:05", "300:010203"]);
        expect(decoder.isPartial).toBe(false);
      }),
    );
  });

  it("tells a frame that is not whole from none", () => {
    const decoder = new Decoder();
    expect(decoder.isPartial).toBe(false);
    decoder.push(unhex("0503fb"));
    expect(decoder.nextFrame(64)).toBeNull();
    expect(decoder.isPartial).toBe(true);
  });

  it("refuses a claim over the limit before the body has come", () => {
    const decoder = new Decoder();
    decoder.push(unhex("05fcffffff7f"));
    expect(() => decoder.nextFrame(65_536)).toThrow(FrameTooLargeError);
  });

  it.each(["fe", "ff00", "05fe", "05ff", "fd0000000001000000" + "00"])("refuses the header %s", (header) => {
    const decoder = new Decoder();
    decoder.push(unhex(header));
    expect(() => decoder.nextFrame(64)).toThrow(WireError);
  });
});

describe("a decoder", () => {
  it("takes frames of the limit, and says which limit one is over", () => {
    const decoder = new Decoder();
    decoder.push(unhex("0703" + "010203" + "0704" + "01020304"));
    expect(decoder.nextFrame(3)?.body).toEqual(unhex("010203"));
    expect(() => decoder.nextFrame(3)).toThrow("a frame of 4 bytes is over the limit of 3");
    expect(decoder.isPartial).toBe(true);
  });

  it("waits for a header that comes byte by byte", () => {
    const decoder = new Decoder();
    for (const byte of ["fb", "70", "00", "fb", "01", "00"]) {
      decoder.push(unhex(byte));
      expect(decoder.nextFrame(64)).toBeNull();
    }
    decoder.push(unhex("09"));
    expect(decoder.nextFrame(64)).toEqual({ type: 112, body: unhex("09") });
    expect(decoder.nextFrame(64)).toBeNull();
    expect(decoder.isPartial).toBe(false);
  });

  it("hands out bodies that later bytes do not overwrite", () => {
    const decoder = new Decoder();
    const bytes = unhex("070101");
    decoder.push(bytes);
    const first = decoder.nextFrame(64);
    bytes.fill(9);
    decoder.push(unhex("070102"));
    expect([first?.body, decoder.nextFrame(64)?.body]).toEqual([unhex("01"), unhex("02")]);
  });

  it("says what is wrong with a header", () => {
    const refuse = (header: string) => () => {
      const decoder = new Decoder();
      decoder.push(unhex(header));
      decoder.nextFrame(64);
    };
    expect(refuse("fe")).toThrow("a frame header begins with 254");
    expect(refuse("05ff")).toThrow("a frame header begins with 255");
    expect(refuse("fd0000000001000000" + "00")).toThrow("4294967296");
  });

  it("knows types up to 32 bits, written as wide as may be", () => {
    const decoder = new Decoder();
    decoder.push(unhex("fdffffffff00000000" + "00"));
    expect(decoder.nextFrame(64)).toEqual({ type: 2 ** 32 - 1, body: new Uint8Array(0) });
  });
});

describe("the datagram envelope", () => {
  it("is type, body", () => {
    expect(hex(encodeDatagram(PING))).toBe("05fb2c01");
    expect(decodeDatagram(unhex("05fb2c01"))).toEqual({ type: 5, body: unhex("fb2c01") });
    expect(() => decodeDatagram(new Uint8Array(0))).toThrow(WireError);
  });
});
