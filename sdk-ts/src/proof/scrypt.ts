/**
 * scrypt (RFC 7914) with N = 32, r = 8, p = 1 and a hash of four bytes: what a proof of work evaluates.
 *
 * @module
 */

import { BLOCK_BYTES, finish, start, take, write } from "./sha256.js";

/** N: blocks that are kept, a power of two. */
const COST = 32;

/** Bytes and words of a block of scrypt: 128 × r, with r = 8. */
const BYTES = 1_024;
const WORDS = BYTES / 4;

/** Words of a block of Salsa20. */
const SALSA_WORDS = 16;

/** Bytes of a hash of SHA-256. */
const HASH_BYTES = 32;

/** An array of so many numbers, for the compiler. */
type Sixteen = [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];

const block = new Int32Array(SALSA_WORDS);
const x = block as unknown as Sixteen;
const words = new Int32Array(WORDS);
const mixed = new Int32Array(WORDS);
const kept = new Int32Array(COST * WORDS);
const state = start();
const hash = new DataView(new ArrayBuffer(HASH_BYTES));
const hashBytes = new Uint8Array(hash.buffer);

/** The first four bytes of scrypt of a number (four bytes, big endian) as the password, as a number. */
export function digest(number: number, salt: Uint8Array): number {
  const password = new Hmac(number);
  const expanded = new DataView(new ArrayBuffer(BYTES));
  const message = numbered(salt);
  for (let index = 0; index * HASH_BYTES < BYTES; index++) {
    message[message.length - 1] = index + 1;
    password.sign(message, expanded, index * HASH_BYTES);
  }
  for (let i = 0; i < WORDS; i++) {
    words[i] = expanded.getInt32(4 * i, true);
  }
  mix();
  for (let i = 0; i < WORDS; i++) {
    expanded.setInt32(4 * i, words[i] ?? 0, true);
  }
  password.sign(numbered(new Uint8Array(expanded.buffer)), hash, 0);
  return hash.getUint32(0);
}

/** HMAC-SHA-256 (RFC 2104) under a number. */
class Hmac {
  readonly #inner: Int32Array;
  readonly #outer: Int32Array;

  constructor(number: number) {
    this.#inner = padded(number, 0x36);
    this.#outer = padded(number, 0x5c);
  }

  sign(message: Uint8Array, out: DataView, at: number): void {
    state.set(this.#inner);
    finish(state, message, BLOCK_BYTES);
    write(state, hash, 0);
    state.set(this.#outer);
    finish(state, hashBytes, BLOCK_BYTES);
    write(state, out, at);
  }
}

/** The state after the key with a pad. */
function padded(number: number, pad: number): Int32Array {
  const key = new Uint8Array(BLOCK_BYTES);
  new DataView(key.buffer).setUint32(0, number);
  const begun = start();
  take(
    begun,
    key.map((byte) => byte ^ pad),
  );
  return begun;
}

/** The first message of PBKDF2: the salt and the number 1. Numbers below 256 are in its last byte. */
function numbered(salt: Uint8Array): Uint8Array {
  const message = new Uint8Array(salt.length + 4);
  message.set(salt);
  message[message.length - 1] = 1;
  return message;
}

/** scryptROMix. */
function mix(): void {
  for (let i = 0; i < COST; i++) {
    kept.set(words, i * WORDS);
    mixBlock();
  }
  for (let i = 0; i < COST; i++) {
    const at = ((words[WORDS - SALSA_WORDS] ?? 0) & (COST - 1)) * WORDS;
    for (let k = 0; k < WORDS; k++) {
      words[k] = (words[k] ?? 0) ^ (kept[at + k] ?? 0);
    }
    mixBlock();
  }
}

/** scryptBlockMix: even results go to the first half, odd ones to the second. */
function mixBlock(): void {
  block.set(words.subarray(WORDS - SALSA_WORDS));
  for (let at = 0; at < WORDS; at += SALSA_WORDS) {
    for (let k = 0; k < SALSA_WORDS; k++) {
      block[k] = (block[k] ?? 0) ^ (words[at + k] ?? 0);
    }
    salsa8();
    const isOdd = (at / SALSA_WORDS) % 2 === 1;
    const half = Math.floor(at / (2 * SALSA_WORDS)) * SALSA_WORDS;
    mixed.set(block, half + (isOdd ? WORDS / 2 : 0));
  }
  words.set(mixed);
}

/** Salsa20/8 of `block`, in place. Sixteen variables, because an engine keeps them in registers. */
function salsa8(): void {
  let x0 = x[0];
  let x1 = x[1];
  let x2 = x[2];
  let x3 = x[3];
  let x4 = x[4];
  let x5 = x[5];
  let x6 = x[6];
  let x7 = x[7];
  let x8 = x[8];
  let x9 = x[9];
  let xa = x[10];
  let xb = x[11];
  let xc = x[12];
  let xd = x[13];
  let xe = x[14];
  let xf = x[15];
  let u = 0;
  for (let round = 0; round < 4; round++) {
    u = (x0 + xc) | 0;
    x4 ^= (u << 7) | (u >>> 25);
    u = (x4 + x0) | 0;
    x8 ^= (u << 9) | (u >>> 23);
    u = (x8 + x4) | 0;
    xc ^= (u << 13) | (u >>> 19);
    u = (xc + x8) | 0;
    x0 ^= (u << 18) | (u >>> 14);
    u = (x5 + x1) | 0;
    x9 ^= (u << 7) | (u >>> 25);
    u = (x9 + x5) | 0;
    xd ^= (u << 9) | (u >>> 23);
    u = (xd + x9) | 0;
    x1 ^= (u << 13) | (u >>> 19);
    u = (x1 + xd) | 0;
    x5 ^= (u << 18) | (u >>> 14);
    u = (xa + x6) | 0;
    xe ^= (u << 7) | (u >>> 25);
    u = (xe + xa) | 0;
    x2 ^= (u << 9) | (u >>> 23);
    u = (x2 + xe) | 0;
    x6 ^= (u << 13) | (u >>> 19);
    u = (x6 + x2) | 0;
    xa ^= (u << 18) | (u >>> 14);
    u = (xf + xb) | 0;
    x3 ^= (u << 7) | (u >>> 25);
    u = (x3 + xf) | 0;
    x7 ^= (u << 9) | (u >>> 23);
    u = (x7 + x3) | 0;
    xb ^= (u << 13) | (u >>> 19);
    u = (xb + x7) | 0;
    xf ^= (u << 18) | (u >>> 14);
    u = (x0 + x3) | 0;
    x1 ^= (u << 7) | (u >>> 25);
    u = (x1 + x0) | 0;
    x2 ^= (u << 9) | (u >>> 23);
    u = (x2 + x1) | 0;
    x3 ^= (u << 13) | (u >>> 19);
    u = (x3 + x2) | 0;
    x0 ^= (u << 18) | (u >>> 14);
    u = (x5 + x4) | 0;
    x6 ^= (u << 7) | (u >>> 25);
    u = (x6 + x5) | 0;
    x7 ^= (u << 9) | (u >>> 23);
    u = (x7 + x6) | 0;
    x4 ^= (u << 13) | (u >>> 19);
    u = (x4 + x7) | 0;
    x5 ^= (u << 18) | (u >>> 14);
    u = (xa + x9) | 0;
    xb ^= (u << 7) | (u >>> 25);
    u = (xb + xa) | 0;
    x8 ^= (u << 9) | (u >>> 23);
    u = (x8 + xb) | 0;
    x9 ^= (u << 13) | (u >>> 19);
    u = (x9 + x8) | 0;
    xa ^= (u << 18) | (u >>> 14);
    u = (xf + xe) | 0;
    xc ^= (u << 7) | (u >>> 25);
    u = (xc + xf) | 0;
    xd ^= (u << 9) | (u >>> 23);
    u = (xd + xc) | 0;
    xe ^= (u << 13) | (u >>> 19);
    u = (xe + xd) | 0;
    xf ^= (u << 18) | (u >>> 14);
  }
  x[0] = (x[0] + x0) | 0;
  x[1] = (x[1] + x1) | 0;
  x[2] = (x[2] + x2) | 0;
  x[3] = (x[3] + x3) | 0;
  x[4] = (x[4] + x4) | 0;
  x[5] = (x[5] + x5) | 0;
  x[6] = (x[6] + x6) | 0;
  x[7] = (x[7] + x7) | 0;
  x[8] = (x[8] + x8) | 0;
  x[9] = (x[9] + x9) | 0;
  x[10] = (x[10] + xa) | 0;
  x[11] = (x[11] + xb) | 0;
  x[12] = (x[12] + xc) | 0;
  x[13] = (x[13] + xd) | 0;
  x[14] = (x[14] + xe) | 0;
  x[15] = (x[15] + xf) | 0;
}
