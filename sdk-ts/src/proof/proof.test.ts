import { createHash, scryptSync } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { browserEnvironment } from "../environment.js";
import { readChallenge } from "./needed.js";
import { digest } from "./scrypt.js";
import { Search } from "./search.js";
import { finish, start, write } from "./sha256.js";
import { solve } from "./solve.js";

interface Vector {
  readonly name: string;
  readonly key: string;
  readonly challenge: string;
  readonly work: number;
  readonly proof: string;
}

const vectors = JSON.parse(readFileSync(findUp("protocol/vectors/proof.json"), "utf8")) as Vector[];

function findUp(path: string, folder = fileURLToPath(new URL(".", import.meta.url))): string {
  const found = join(folder, path);
  return existsSync(found) || dirname(folder) === folder ? found : findUp(path, dirname(folder));
}

function search({ challenge, work, key }: Vector): Search {
  return new Search({ text: challenge, work }, key);
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("the functions", () => {
  it("sha256 is that of the platform, for every length around its blocks", () => {
    for (let length = 0; length < 200; length++) {
      const message = Uint8Array.from({ length }, (_, index) => index * 7);
      const out = new DataView(new ArrayBuffer(32));
      const state = start();
      finish(state, message, 0);
      write(state, out, 0);
      const expected = createHash("sha256").update(message).digest("hex");
      expect(Buffer.from(out.buffer).toString("hex")).toBe(expected);
    }
  });

  it("scrypt is that of the platform", () => {
    for (const number of [0, 1, 5, 0x1234_5678, 0xffff_ffff]) {
      for (const length of [0, 51, 60, 64, 99]) {
        const salt = Uint8Array.from({ length }, (_, index) => index + number);
        const password = Buffer.alloc(4);
        password.writeUInt32BE(number);
        const expected = scryptSync(password, salt, 4, { N: 32, r: 8, p: 1 }).readUInt32BE();
        expect(digest(number, salt)).toBe(expected);
      }
    }
  });
});

describe("a search", () => {
  it.each(vectors)("finds the proof of the vectors: $name", (vector) => {
    const searching = search(vector);
    let proof: string | null = null;
    const shares = [searching.share];
    while (proof === null) {
      proof = searching.step();
      shares.push(searching.share);
    }
    expect(proof).toBe(vector.proof);
    expect(shares).toEqual([...shares].sort((one, other) => one - other));
    expect([shares[0], shares.at(-1)]).toEqual([0, 1]);
  });
});

describe("solving", () => {
  const [vector] = vectors.slice(-1) as [Vector];
  const challenge = { text: vector.challenge, work: vector.work };

  it("runs in slices where there is no worker, and says how far it is", async () => {
    vi.stubGlobal("Worker", undefined);
    const shares: number[] = [];
    const proof = await solve(challenge, vector.key, browserEnvironment(), (share) => shares.push(share));
    expect(proof).toBe(vector.proof);
    expect([shares[0], shares.at(-1)]).toEqual([0, 1]);
    expect(shares.length).toBeGreaterThan(2);
  });

  it.each(["throws", "fails"])("runs in slices where a worker %s", async (how) => {
    class NoWorker {
      onerror: ((event: Event) => void) | null = null;
      constructor() {
        if (how === "throws") {
          throw new Error("refused by the policy");
        }
      }
      postMessage() {
        queueMicrotask(() => this.onerror?.(new Event("error")));
      }
      terminate() {
        this.onerror = null;
      }
    }
    vi.stubGlobal("Worker", NoWorker);
    expect(await solve(challenge, vector.key, browserEnvironment(), () => undefined)).toBe(vector.proof);
  });

  it("takes what a worker finds", async () => {
    const told: unknown[] = [];
    class Finder {
      onmessage: ((event: { data: unknown }) => void) | null = null;
      postMessage(task: unknown) {
        told.push(task);
        this.onmessage?.({ data: { share: 0.5, proof: null } });
        this.onmessage?.({ data: { share: 1, proof: "found" } });
      }
      terminate() {
        told.push("ended");
      }
    }
    vi.stubGlobal("Worker", Finder);
    const shares: number[] = [];
    const proof = await solve(challenge, "key", browserEnvironment(), (share) => shares.push(share));
    expect(proof).toBe("found");
    expect(shares).toEqual([0, 0.5, 1]);
    expect(told).toEqual([{ challenge, key: "key" }, "ended"]);
  });
});

describe("the challenge of a problem", () => {
  const good = { text: vectors[0]?.challenge ?? "", work: 200, searches: 2, expires_in_ms: 600_000 };

  it("is read", () => {
    expect(readChallenge(good)).toEqual({ text: good.text, work: 200 });
  });

  it.each([
    null,
    undefined,
    "text",
    {},
    { ...good, text: 5 },
    { ...good, text: `${good.text}A` },
    { ...good, text: "!".repeat(46) },
    { ...good, work: 0 },
    { ...good, work: 1.5 },
    { ...good, work: 16_001 },
    { ...good, work: "200" },
    { ...good, searches: 3 },
  ])("is nothing that this version cannot solve: %j", (challenge) => {
    expect(readChallenge(challenge)).toBeNull();
  });
});
