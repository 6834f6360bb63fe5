/**
 * Every error that this package throws or rejects with. All extend {@link NoWrongError}.
 *
 * @module
 */

import {
  closeCodeInfo,
  type ErrorCode,
  errorCodeInfo,
  isTemporary,
  shouldReconnect,
} from "./generated/code.js";

/** The base of every error of this package. */
export class NoWrongError extends Error {
  override readonly name: string = "NoWrongError";
  /** The number of the code, from {@link ErrorCode} or `CloseCode`; 0 when there is no code. */
  readonly code: number = 0;
  /** The name of the code, such as `NAME_TAKEN`; for a failure without a code, its own name. */
  readonly codeName: string = "UNKNOWN";
  /** Whether the same call may succeed later. */
  readonly isTemporary: boolean = false;
  /** Earliest time to try again, in milliseconds from now; 0 when it does not matter. */
  readonly retryAfterMs: number = 0;
}

/** The parts of a {@link RequestError}. */
export interface RequestFailure {
  /** The number on the wire. */
  readonly code: ErrorCode;
  /** For a developer: which field, which bound. */
  readonly detail?: string;
  /** Earliest time to try again, in milliseconds from now. */
  readonly retryAfterMs?: number;
  /** The fields that were refused. */
  readonly fields?: readonly FieldError[];
}

/** A field of a request that was refused. */
export interface FieldError {
  /** Its name, as in the request. */
  readonly field: string;
  /** What is wrong with it. */
  readonly detail: string;
}

/** The server refused a request, over REST or over the connection. Nothing was changed. */
export class RequestError extends NoWrongError {
  override readonly name = "RequestError";
  override readonly code: ErrorCode;
  override readonly codeName: string;
  override readonly isTemporary: boolean;
  override readonly retryAfterMs: number;
  /** For a developer: which field, which bound; may be empty. */
  readonly detail: string;
  /** The fields that were refused; empty when the failure is not about fields. */
  readonly fields: readonly FieldError[];

  constructor(failure: RequestFailure) {
    const info = errorCodeInfo(failure.code);
    super(info.text);
    this.code = failure.code;
    this.codeName = info.name;
    this.isTemporary = isTemporary(failure.code);
    this.retryAfterMs = failure.retryAfterMs ?? 0;
    this.detail = failure.detail ?? "";
    this.fields = failure.fields ?? [];
  }
}

/** The connection ended, and why. */
export class ConnectionClosedError extends NoWrongError {
  override readonly name = "ConnectionClosedError";
  override readonly code: number;
  override readonly codeName: string;
  override readonly isTemporary: boolean;
  override readonly retryAfterMs: number;

  /** `code` is from `CloseCode`; `null` when the link was lost without a close code. */
  constructor(code: number | null, retryAfterMs = 0, options?: ErrorOptions) {
    super(code === null ? "The link was lost." : closeCodeInfo(code).text, options);
    this.code = code ?? 0;
    this.codeName = code === null ? "LINK_LOST" : closeCodeInfo(code).name;
    this.isTemporary = code === null || shouldReconnect(code);
    this.retryAfterMs = retryAfterMs;
  }
}

/** More about a {@link NetworkError}. */
export interface NetworkFailure extends ErrorOptions {
  /** Whether the same call may succeed later. Default: yes. */
  readonly isTemporary?: boolean;
  /** Earliest time to try again, in milliseconds from now. Default: 0, when it does not matter. */
  readonly retryAfterMs?: number;
}

/**
 * The server could not be reached: no network, a blocked port, a refused certificate, something in between
 * that replied in its place, or a Content-Security-Policy of the page that does not allow it.
 */
export class NetworkError extends NoWrongError {
  override readonly name = "NetworkError";
  override readonly codeName = "NETWORK";
  override readonly isTemporary: boolean;
  override readonly retryAfterMs: number;

  constructor(message: string, failure: NetworkFailure = {}) {
    super(message, failure);
    this.isTemporary = failure.isTemporary ?? true;
    this.retryAfterMs = failure.retryAfterMs ?? 0;
  }
}

/** This platform and the server have no transport in common, or the platform has none that was asked for. */
export class TransportError extends NoWrongError {
  override readonly name = "TransportError";
  override readonly codeName = "NO_TRANSPORT";
}

/** No reply came in time. Whether the server has carried out the request is unknown. */
export class TimeoutError extends NoWrongError {
  override readonly name = "TimeoutError";
  override readonly codeName = "TIMEOUT";
  override readonly isTemporary = true;
}

/** A bounded queue of this client is full: too much is waiting for the connection to come back. */
export class QueueFullError extends NoWrongError {
  override readonly name = "QueueFullError";
  override readonly codeName = "QUEUE_FULL";
  override readonly isTemporary = true;
}

/** The handle was closed, or its ticket or chat ended before this could be done. */
export class ClosedError extends NoWrongError {
  override readonly name = "ClosedError";
  override readonly codeName = "CLOSED";
}

/** Returns `error` if it is a {@link NoWrongError}; else a {@link NetworkError} with `error` as its cause. */
export function toNoWrongError(error: unknown): NoWrongError {
  return error instanceof NoWrongError
    ? error
    : new NetworkError("The server cannot be reached.", { cause: error });
}
