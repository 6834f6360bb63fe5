import { describe, expect, it } from "vitest";
import { NetworkError, RequestError, TimeoutError } from "../error.js";
import { ErrorCode } from "../generated/code.js";
import { FakeEnvironment } from "../testing/environment.js";
import { sendUntilKnown } from "./registration.js";

/** A server that fails as `failures` says, one after the other, and then makes the account. */
function server(request: string, failures: Error[], environment = new FakeEnvironment()) {
  const keys: string[] = [];
  const times: number[] = [];
  const begun = environment.now();
  const send = () =>
    sendUntilKnown(request, environment, (key) => {
      keys.push(key);
      times.push(environment.now() - begun);
      const failure = failures.shift();
      return failure === undefined ? Promise.resolve("made") : Promise.reject(failure);
    });
  return { environment, keys, times, send };
}

const unreachable = () => new NetworkError("The server cannot be reached.");
const unavailable = (retryAfterMs = 0) =>
  new RequestError({ code: ErrorCode.STORAGE_UNAVAILABLE, retryAfterMs });

describe("a registration", () => {
  it("is sent again under the same key until its outcome is known", async () => {
    const failures = [unreachable(), unavailable(), new TimeoutError("late"), unavailable(5_000)];
    const { environment, keys, times, send } = server("again", failures);
    const sent = send();
    await environment.advance(60_000);
    expect(await sent).toBe("made");
    expect(times).toEqual([0, 500, 1_500, 3_500, 8_500]);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[!-~]{16,64}$/);
    expect(environment.timers).toBe(0);
  });

  it.each([
    ["a taken name", new RequestError({ code: ErrorCode.NAME_TAKEN })],
    ["a limit", new RequestError({ code: ErrorCode.RATE_LIMITED, retryAfterMs: 1 })],
    ["a refusal by the page's policy", new NetworkError("refused", { isTemporary: false })],
    ["a fault of the page", new TypeError("not a function")],
  ])("is sent once when the answer is %s, and the next one has another key", async (name, failure) => {
    const { keys, send } = server(name, [failure]);
    await expect(send()).rejects.toBe(failure);
    expect(await send()).toBe("made");
    expect(new Set(keys).size).toBe(2);
  });

  it("is given up after a while, and the same one later gets the account of the first", async () => {
    const { environment, keys, times, send } = server("later", Array.from({ length: 7 }, unreachable));
    const sent = expect(send()).rejects.toMatchObject({ codeName: "NETWORK" });
    await environment.advance(60_000);
    await sent;
    expect(times).toEqual([0, 500, 1_500, 3_500, 7_500, 15_500]);
    const later = send();
    await environment.advance(60_000);
    expect(await later).toBe("made");
    expect(new Set(keys).size).toBe(1);
  });

  it.each([
    [16_000, [0, 16_000]],
    [16_001, [0]],
  ])("is sent again when the server asks for a wait of %d ms: %j", async (waitMs, expected) => {
    const { environment, times, send } = server(`wait ${waitMs}`, [unavailable(waitMs)]);
    const sent = Promise.allSettled([send()]);
    await environment.advance(60_000);
    await sent;
    expect(times).toEqual(expected);
  });

  it("that was given up has its key later, though one that was begun before it has succeeded since", async () => {
    const environment = new FakeEnvironment();
    const first = server("begun before", [unreachable()], environment);
    const second = server("given up", Array.from({ length: 6 }, unreachable), environment);
    const sent = first.send();
    const failed = expect(second.send()).rejects.toMatchObject({ codeName: "NETWORK" });
    await environment.advance(60_000);
    await failed;
    expect(await sent).toBe("made");
    expect(await second.send()).toBe("made");
    expect(new Set(second.keys).size).toBe(1);
  });

  it("with other fields has another key, and so has the next one after a success", async () => {
    const environment = new FakeEnvironment();
    const one = server("one", [], environment);
    const other = server("other", [], environment);
    expect([await one.send(), await other.send(), await one.send()]).toEqual(["made", "made", "made"]);
    expect(new Set([...one.keys, ...other.keys]).size).toBe(3);
  });

  it("that is sent twice at once is one", async () => {
    const { keys, send } = server("twice", []);
    expect(await Promise.all([send(), send()])).toEqual(["made", "made"]);
    expect(new Set(keys).size).toBe(1);
  });
});
