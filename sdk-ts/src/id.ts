/**
 * Ids that this client makes: UUIDs of version 7 (RFC 9562), so that they sort by time.
 *
 * @module
 */

import { uuidText } from "./wire/codec.js";

/** A version 7 id from milliseconds since the Unix epoch and ten random bytes. */
export function uuidV7(unixMs: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  let rest = unixMs;
  for (let at = 5; at >= 0; at -= 1) {
    bytes[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return uuidText(bytes);
}
