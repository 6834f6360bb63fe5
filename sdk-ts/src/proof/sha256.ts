/**
 * SHA-256 (FIPS 180-4), synchronous: `crypto.subtle` costs a promise for each of the thousands of short messages
 * that a proof of work hashes.
 *
 * @module
 */

/** Bytes of a block. */
export const BLOCK_BYTES = 64;

/** Words of a state. */
const STATE_WORDS = 8;

/** A state, for the compiler. */
type Eight = [number, number, number, number, number, number, number, number];

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const K = new Int32Array(64);

/** The same of the square roots of the first 8. */
const START = new Int32Array(STATE_WORDS);

fillConstants();

const schedule = new Int32Array(64);
const block = new DataView(new ArrayBuffer(BLOCK_BYTES));
const bytes = new Uint8Array(block.buffer);

/** The state before the first block. */
export function start(): Int32Array {
  return START.slice();
}

/** Ends a hash: `state` has taken `before` bytes, whole blocks; `message` is the rest. `state` becomes the hash. */
export function finish(state: Int32Array, message: Uint8Array, before: number): void {
  let at = 0;
  for (; at + BLOCK_BYTES <= message.length; at += BLOCK_BYTES) {
    bytes.set(message.subarray(at, at + BLOCK_BYTES));
    compress(state);
  }
  const rest = message.length - at;
  bytes.fill(0);
  for (let index = 0; index < rest; index++) {
    bytes[index] = message[at + index] ?? 0;
  }
  bytes[rest] = 0x80;
  if (rest + 9 > BLOCK_BYTES) {
    compress(state);
    bytes.fill(0);
  }
  // Nothing here is as long as 2 ** 29 bytes.
  block.setInt32(60, (before + message.length) * 8);
  compress(state);
}

/** Takes one whole block. */
export function take(state: Int32Array, whole: Uint8Array): void {
  bytes.set(whole);
  compress(state);
}

/** Writes a state as bytes, big endian. */
export function write(state: Int32Array, out: DataView, at: number): void {
  for (let index = 0; index < STATE_WORDS; index++) {
    out.setInt32(at + 4 * index, state[index] ?? 0);
  }
}

/** Takes `block` into the state. */
function compress(state: Int32Array): void {
  expand();
  const words = state as unknown as Eight;
  let a = words[0];
  let b = words[1];
  let c = words[2];
  let d = words[3];
  let e = words[4];
  let f = words[5];
  let g = words[6];
  let h = words[7];
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (K[i] ?? 0) + (schedule[i] ?? 0)) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  words[0] = (words[0] + a) | 0;
  words[1] = (words[1] + b) | 0;
  words[2] = (words[2] + c) | 0;
  words[3] = (words[3] + d) | 0;
  words[4] = (words[4] + e) | 0;
  words[5] = (words[5] + f) | 0;
  words[6] = (words[6] + g) | 0;
  words[7] = (words[7] + h) | 0;
}

/** Makes the schedule of `block`. Missing elements of typed arrays do not occur: `?? 0` is for the compiler. */
function expand(): void {
  const w = schedule;
  for (let i = 0; i < 16; i++) {
    w[i] = block.getInt32(4 * i);
  }
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15] ?? 0;
    const y = w[i - 2] ?? 0;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = ((w[i - 16] ?? 0) + s0 + (w[i - 7] ?? 0) + s1) | 0;
  }
}

function fillConstants(): void {
  const fraction = (root: number) => ((root % 1) * 2 ** 32) | 0;
  for (let number = 2, count = 0; count < K.length; number++) {
    if (!isPrime(number)) {
      continue;
    }
    K[count] = fraction(Math.cbrt(number));
    if (count < STATE_WORDS) {
      START[count] = fraction(Math.sqrt(number));
    }
    count++;
  }
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) {
    if (number % divisor === 0) {
      return false;
    }
  }
  return true;
}
