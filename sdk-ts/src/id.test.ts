import { describe, expect, it } from "vitest";
import { uuidV7 } from "./id.js";

describe("ids of version 7", () => {
  it("hold the time in front, then the version, the variant and randomness", () => {
    expect(uuidV7(0x0189_0a5d_ac96, new Uint8Array(10).fill(0xff))).toBe(
      "01890a5d-ac96-7fff-bfff-ffffffffffff",
    );
    expect(uuidV7(0, new Uint8Array(10))).toBe("00000000-0000-7000-8000-000000000000");
    expect(uuidV7(1, Uint8Array.of(0x12, 0x34, 0x56, 4, 5, 6, 7, 8, 9, 10))).toBe(
      "00000000-0001-7234-9604-05060708090a",
    );
  });

  it("take no more randomness than they hold", () => {
    expect(uuidV7(2 ** 48 - 1, new Uint8Array(12).fill(1))).toBe("ffffffff-ffff-7101-8101-010101010101");
  });

  it("sort by time", () => {
    const times = [0, 1, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 40];
    const ids = times.map((time, index) => uuidV7(time, new Uint8Array(10).fill(255 - index)));
    expect([...ids].sort()).toEqual(ids);
  });
});
