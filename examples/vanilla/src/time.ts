/**
 * Times as people read them, and a tick each second for countdowns.
 *
 * @module
 */

/** `m:ss`, or `h:mm h` beyond an hour. Never below zero. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1_000));
  const pad = (value: number) => String(value).padStart(2, "0");
  if (seconds >= 3_600) {
    return `${Math.floor(seconds / 3_600)} h ${pad(Math.floor((seconds % 3_600) / 60))} min`;
  }
  return `${Math.floor(seconds / 60)}:${pad(seconds % 60)}`;
}

/** The time of day, such as `14:05`, in the format of the browser. */
export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" });
}

/** Calls `tick` now and every second, until the returned function is called. */
export function everySecond(tick: () => void): () => void {
  tick();
  const timer = setInterval(tick, 1_000);
  return () => clearInterval(timer);
}
