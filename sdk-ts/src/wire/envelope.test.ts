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

describe("the datagram envelope", () => {
  it("is type, body", () => {
    expect(hex(encodeDatagram(PING))).toBe("05fb2c01");
    expect(decodeDatagram(unhex("05fb2c01"))).toEqual({ type: 5, body: unhex("fb2c01") });
    expect(() => decodeDatagram(new Uint8Array(0))).toThrow(WireError);
  });
});
