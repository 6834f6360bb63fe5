/**
 * Copies of the live lane: the TypeScript twin of the protocol's `copies`.
 *
 * A stream detects a lost packet by a timer, about two round trips later. So over a link that loses
 * packets each side sends its writes again in datagrams, a few milliseconds later and once more soon
 * after. A copy names its place in the lane, so that the receiver takes each byte once and in order,
 * whichever comes first. {@link CopyWriter} decides what to send and when; {@link CopyReader} tells which
 * bytes are new.
 *
 * @module
 */

import type { LaneCopy } from "../generated/connect.js";
import {
  COPY_BYTES_MAX,
  COPY_DELAY_MS,
  COPY_TAIL_MS,
  LOSSY_FOR_MS,
  SECOND_COPY_DELAY_MS,
} from "../generated/limits.js";

/** The recent writes to the live lane. Holds nothing while the link loses no packets. */
export class CopyWriter {
  /** Bytes written to the lane since it was opened. */
  #written = 0;
  /** The newest writes, oldest first, without a gap; at most {@link COPY_BYTES_MAX} bytes. */
  #tail: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #dueAt: number | null = null;
  /** When the second copy is due, unless more is written. */
  #secondDueAt: number | null = null;
  #lossyUntil = Number.NEGATIVE_INFINITY;

  /** The link loses packets: for a while, new writes are copied. */
  start(now: number): void {
    this.#lossyUntil = now + LOSSY_FOR_MS;
  }

  /** These bytes were written to the lane. */
  wrote(bytes: Uint8Array, now: number): void {
    this.#written += bytes.length;
    if (now >= this.#lossyUntil || bytes.length > COPY_BYTES_MAX) {
      this.#tail = [];
      this.#dueAt = null;
      this.#secondDueAt = null;
      return;
    }
    this.#tail.push({ at: now, bytes });
    while (this.#isTailOver(now)) {
      this.#tail.shift();
    }
    this.#dueAt = now + COPY_DELAY_MS;
    this.#secondDueAt = now + SECOND_COPY_DELAY_MS;
  }

  /** When {@link CopyWriter.take} has a copy; `null` when none is due. */
  pollTimeout(): number | null {
    return this.#dueAt;
  }

  /** Returns the copy that is due, once. */
  take(now: number): LaneCopy | null {
    if (this.#dueAt === null || now < this.#dueAt) {
      return null;
    }
    this.#dueAt = this.#secondDueAt;
    this.#secondDueAt = null;
    const bytes = new Uint8Array(this.#tailLength());
    let at = 0;
    for (const write of this.#tail) {
      bytes.set(write.bytes, at);
      at += write.bytes.length;
    }
    return { kind: "laneCopy", offset: this.#written - bytes.length, bytes };
  }

  #isTailOver(now: number): boolean {
    const oldest = this.#tail[0];
    return this.#tailLength() > COPY_BYTES_MAX || (oldest !== undefined && oldest.at + COPY_TAIL_MS < now);
  }

  #tailLength(): number {
    return this.#tail.reduce((length, { bytes }) => length + bytes.length, 0);
  }
}

/** How much of the live lane was received, by stream and by copies. Holds no bytes. */
export class CopyReader {
  /** Bytes that came on the stream. */
  #streamed = 0;
  /** Bytes that were returned as new; never less than those that came on the stream. */
  #taken = 0;

  /** Returns the new part of the next bytes of the stream. */
  stream(bytes: Uint8Array): Uint8Array {
    const known = Math.min(this.#taken - this.#streamed, bytes.length);
    this.#streamed += bytes.length;
    this.#taken = Math.max(this.#taken, this.#streamed);
    return bytes.subarray(known);
  }

  /** Returns the new part of a copy; `null` when it begins behind bytes that have not come yet. */
  copy({ offset, bytes }: LaneCopy): Uint8Array | null {
    if (offset > this.#taken) {
      return null;
    }
    const fresh = bytes.subarray(Math.min(this.#taken - offset, bytes.length));
    this.#taken += fresh.length;
    return fresh;
  }
}
