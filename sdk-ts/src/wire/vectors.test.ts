import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  type ClientFrame,
  decodeClientFrame,
  decodeServerFrame,
  encodeClientFrame,
  encodeServerFrame,
  FRAMES,
  type ServerFrame,
} from "../generated/frame.js";
import { toCamel } from "../rest/camel.js";
import { hex, unhex } from "../testing/hex.js";
import { Reader, readU64, WireError, Writer, writeU64 } from "./codec.js";
import { Decoder, envelop } from "./envelope.js";

/** The vectors of the protocol, however deep below the root of the repository this file is run. */
const VECTORS = findUp(fileURLToPath(new URL(".", import.meta.url)), "protocol/vectors");

function findUp(folder: string, name: string): string {
  const path = join(folder, name);
  if (existsSync(path)) {
    return path;
  }
  if (dirname(folder) === folder) {
    throw new Error(`no ${name} above this file`);
  }
  return findUp(dirname(folder), name);
}

function read<Vector>(name: string): Vector[] {
  return JSON.parse(readFileSync(join(VECTORS, `${name}.json`), "utf8")) as Vector[];
}

interface FrameVector {
  name: string;
  frame: string;
  kind: number;
  hex: string;
  envelope_hex: string;
  json: Record<string, unknown>;
}

const FAMILIES = ["connect", "queue", "chat", "history", "signal"];
const frames = FAMILIES.flatMap((family) => read<FrameVector>(family));
const isExact = (vector: FrameVector) => !vector.name.endsWith("u64_max");

function info(kind: number) {
  const found = FRAMES.find((row) => row.type === kind);
  if (found === undefined) {
    throw new Error(`no frame ${kind}`);
  }
  return found;
}

function decode(kind: number, body: Uint8Array): ClientFrame | ServerFrame {
  return info(kind).sender === "client" ? decodeClientFrame(kind, body) : decodeServerFrame(kind, body);
}

function encode(frame: ClientFrame | ServerFrame): Uint8Array {
  const writer = new Writer();
  if (FRAMES.find((row) => row.kind === frame.kind)?.sender === "client") {
    encodeClientFrame(writer, frame as ClientFrame);
  } else {
    encodeServerFrame(writer, frame as ServerFrame);
  }
  return writer.finish();
}

/** What a decoded frame is in the JSON of the vectors: enums as numbers, bodies as kind and bytes. */
const ENUMS: Record<string, string[]> = {
  stage: ["interests", "language", "category", "anyone"],
  seat: ["", "taken", "held", "free"],
  reason: ["", "left", "gone", "idle", "expired"],
};
const STATES: Record<string, string[]> = {
  seat: ["", "taken", "held", "free"],
  presence: ["", "active", "away"],
  memberPresence: ["", "active", "away"],
};

function plain(value: unknown, frame: string, key = ""): unknown {
  if (Array.isArray(value)) {
    return value.map((item) => plain(item, frame, key));
  }
  if (typeof value === "string") {
    const names = key === "state" ? STATES[frame] : ENUMS[key];
    const isEnum =
      value !== "" && names !== undefined && (names.includes(value) || value.startsWith("unknown:"));
    return isEnum ? enumNumber(value, names) : value;
  }
  if (value instanceof Uint8Array) {
    return [...value];
  }
  if (typeof value === "object" && value !== null) {
    if (key === "body") {
      return plainBody(value as { kind: string; text?: string; type?: number; data?: Uint8Array });
    }
    const entries = Object.entries(value).filter(([name]) => name !== "kind");
    return Object.fromEntries(entries.map(([name, inner]) => [name, plain(inner, frame, name)]));
  }
  return value;
}

function enumNumber(value: string, names: string[]): number {
  return value.startsWith("unknown:") ? Number(value.slice(8)) : names.indexOf(value);
}

function plainBody(body: { kind: string; text?: string; type?: number; data?: Uint8Array }): unknown {
  switch (body.kind) {
    case "deleted":
      return { kind: 0, data: [] };
    case "text":
      return { kind: 1, data: [...new TextEncoder().encode(body.text)] };
    default:
      return { kind: body.type, data: [...(body.data ?? [])] };
  }
}

describe("frames", () => {
  it("every type has a vector", () => {
    const kinds = new Set(frames.map(({ kind }) => kind));
    expect(FRAMES.filter((row) => !kinds.has(row.type))).toEqual([]);
  });

  it.each(frames.filter(isExact).map((vector) => [vector.name, vector] as const))("%s", (_, vector) => {
    const { kind } = info(vector.kind);
    const frame = decode(vector.kind, unhex(vector.hex));
    expect(frame.kind).toBe(kind);
    expect(plain(frame, kind)).toEqual(toCamel(vector.json));
    expect(hex(encode(frame))).toBe(vector.hex);
    expect(hex(envelop(vector.kind, unhex(vector.hex)))).toBe(vector.envelope_hex);
  });

  it.each(frames.filter((vector) => !isExact(vector)).map((vector) => [vector.name, vector] as const))(
    "%s is more than a number holds",
    (_, vector) => {
      expect(() => decode(vector.kind, unhex(vector.hex))).toThrow(WireError);
    },
  );

  it.each(frames.filter(isExact).map((vector) => [vector.name, vector] as const))(
    "%s may grow, and is an error when cut",
    (_, vector) => {
      const grown = decode(vector.kind, unhex(`${vector.hex}0102`));
      expect(grown).toEqual(decode(vector.kind, unhex(vector.hex)));
      if (vector.hex !== "") {
        expect(() => decode(vector.kind, unhex(vector.hex.slice(0, -2)))).toThrow(WireError);
      }
    },
  );
});

interface ErrorVector {
  name: string;
  kind: number;
  hex: string;
  why: string;
}

describe("bodies that must be refused", () => {
  it.each(read<ErrorVector>("decode_errors").map((vector) => [vector.name, vector] as const))(
    "%s",
    (_, { kind, hex: body }) => {
      expect(() => decode(kind, unhex(body))).toThrow(WireError);
    },
  );
});

describe("varints", () => {
  it.each(
    read<{ name: string; hex: string; value: number; is_shortest: boolean }>("varint").map(
      (vector) => [vector.name, vector] as const,
    ),
  )("%s", (_, vector) => {
    if (vector.value > Number.MAX_SAFE_INTEGER) {
      expect(() => readU64(new Reader(unhex(vector.hex)))).toThrow(WireError);
      return;
    }
    expect(readU64(new Reader(unhex(vector.hex)))).toBe(vector.value);
    const writer = new Writer();
    writeU64(writer, vector.value);
    expect(hex(writer.finish()) === vector.hex).toBe(vector.is_shortest);
  });
});

interface EnvelopeVector {
  name: string;
  stream_hex: string;
  frames: { kind: number; hex: string }[];
  is_partial: boolean;
  error: string | null;
}

describe("envelopes", () => {
  it.each(read<EnvelopeVector>("envelope").map((vector) => [vector.name, vector] as const))(
    "%s",
    (_, vector) => {
      const decoder = new Decoder();
      decoder.push(unhex(vector.stream_hex));
      const found: { kind: number; hex: string }[] = [];
      const drain = () => {
        for (let frame = decoder.nextFrame(65_536); frame !== null; frame = decoder.nextFrame(65_536)) {
          found.push({ kind: frame.type, hex: hex(frame.body) });
        }
      };
      if (vector.error === null) {
        drain();
        expect(decoder.isPartial).toBe(vector.is_partial);
      } else {
        expect(drain).toThrow(WireError);
      }
      expect(found).toEqual(vector.frames);
    },
  );
});
