import { describe, expect, it } from "vitest";
import {
  ClosedError,
  ConnectionClosedError,
  NetworkError,
  NoWrongError,
  QueueFullError,
  RequestError,
  TimeoutError,
  TransportError,
  toNoWrongError,
} from "./error.js";
import { CloseCode, closeCodeInfo, ErrorCode, errorCodeInfo } from "./generated/code.js";

describe("the errors of this package", () => {
  it.each<[NoWrongError, object]>([
    [new NoWrongError("x"), { name: "NoWrongError", codeName: "UNKNOWN", isTemporary: false }],
    [new NetworkError("x"), { name: "NetworkError", codeName: "NETWORK", isTemporary: true }],
    [new TimeoutError("x"), { name: "TimeoutError", codeName: "TIMEOUT", isTemporary: true }],
    [new QueueFullError("x"), { name: "QueueFullError", codeName: "QUEUE_FULL", isTemporary: true }],
    [new TransportError("x"), { name: "TransportError", codeName: "NO_TRANSPORT", isTemporary: false }],
    [new ClosedError("x"), { name: "ClosedError", codeName: "CLOSED", isTemporary: false }],
  ])("have a name, a word for the failure, and whether to try again: %s", (error, expected) => {
    expect(error).toMatchObject({ ...expected, code: 0, retryAfterMs: 0, message: "x" });
    expect(error).toBeInstanceOf(NoWrongError);
    expect(error).toBeInstanceOf(Error);
  });

  it("say what the server said of a request", () => {
    const fields = [{ field: "name", detail: "too short" }];
    const code = ErrorCode.RATE_LIMITED;
    expect(new RequestError({ code, detail: "so", retryAfterMs: 7, fields })).toMatchObject({
      name: "RequestError",
      message: errorCodeInfo(code).text,
      code,
      codeName: "RATE_LIMITED",
      isTemporary: true,
      retryAfterMs: 7,
      detail: "so",
      fields,
    });
    expect(new RequestError({ code: ErrorCode.NAME_TAKEN })).toMatchObject({
      codeName: "NAME_TAKEN",
      isTemporary: false,
      retryAfterMs: 0,
      detail: "",
      fields: [],
    });
  });

  it.each([
    [CloseCode.OVERLOADED, "OVERLOADED", true],
    [CloseCode.REPLACED, "REPLACED", false],
  ])("say why a connection was closed: %i", (code, codeName, isTemporary) => {
    const cause = new Error("deep");
    const error = new ConnectionClosedError(code, 9, { cause });
    const expected = { name: "ConnectionClosedError", code, codeName, isTemporary, retryAfterMs: 9, cause };
    expect(error).toMatchObject({ ...expected, message: closeCodeInfo(code).text });
  });

  it("say that a link was lost without a word", () => {
    const lost = { code: 0, codeName: "LINK_LOST", isTemporary: true, retryAfterMs: 0 };
    expect(new ConnectionClosedError(null)).toMatchObject({ ...lost, message: "The link was lost." });
  });

  it("are passed on as they are, and others become the network's with themselves as the cause", () => {
    const own = new ClosedError("x");
    expect(toNoWrongError(own)).toBe(own);
    const cause = new TypeError("fetch failed");
    const message = "The server cannot be reached.";
    expect(toNoWrongError(cause)).toMatchObject({ codeName: "NETWORK", cause, message });
  });
});
