/**
 * Every refusal as a sentence for a person. What the SDK and the server say about it is for developers, and is
 * shown to nobody.
 *
 * @module
 */

import {
  type CloseCode,
  type ClosedError,
  type ErrorCode,
  type FieldError,
  limits,
  type NetworkError,
  NoWrongError,
  type QueueFullError,
  RequestError,
  type TimeoutError,
  type TransportError,
} from "@nowrong/sdk";

const LOGGED_OUT = "You are logged out here: from another tab or device, or because the account is gone.";
const MISUNDERSTOOD = "The page and the server do not understand each other. Reload the page.";
const NOT_FROM_HERE = "This server does not accept this page: its operator has to allow the address.";
const RESTARTED = "The server is being restarted.";
const FULL = "The server is full right now.";
const FAILED = "Something went wrong on the server.";
const TOO_SLOW = "The connection was too slow.";
const REOPENED = "The connection has to be opened again.";
const INVALID = "Something that was entered cannot be used.";

/** Why a request was refused. */
const REFUSALS: Readonly<Record<string, string>> = {
  INVALID,
  CHAT_UNKNOWN: "This chat does not exist any more.",
  CHAT_ENDED: "This chat is over.",
  TEXT_EMPTY: "There is nothing to read in this message.",
  TEXT_TOO_LONG: "This message is too long.",
  BODY_UNKNOWN: "The server does not know this kind of message. Reload the page.",
  ALREADY_IN_CHAT: "You are in a chat. Leave it first.",
  ALREADY_QUEUED: "You are already looking for someone. Stop that first.",
  TICKET_UNKNOWN: "You are not looking for anyone any more.",
  CATEGORY_UNKNOWN: "This topic is not there any more. Pick another one.",
  AGE_BRACKET: "This topic is for another age group.",
  MESSAGE_UNKNOWN: "This message is not there any more.",
  MESSAGE_NOT_YOURS: "Only the person who wrote a message can delete it.",
  CHAT_FULL: "This chat is full. Meet someone new to go on talking.",
  NAME_TAKEN: "This name, or one that looks like it, is taken. Choose another one.",
  UNAUTHENTICATED: LOGGED_OUT,
  REFRESH_REFUSED: LOGGED_OUT,
  NOT_FOUND: MISUNDERSTOOD,
  METHOD_NOT_ALLOWED: MISUNDERSTOOD,
  BODY_TOO_LARGE: "That is too much to send.",
  UNSUPPORTED_MEDIA_TYPE: MISUNDERSTOOD,
  ORIGIN_REFUSED: NOT_FROM_HERE,
  PROOF_NEEDED: "The server wants proof of some work first. Try again.",
  RATE_LIMITED: "That was too much at once.",
  STORAGE_UNAVAILABLE: "The server cannot store anything right now.",
  DRAINING: RESTARTED,
  INTERNAL: FAILED,
  OVERLOADED: FULL,
} satisfies Record<keyof typeof ErrorCode, string>;

/** Why a connection ended. */
const ENDS = {
  GOING_AWAY: RESTARTED,
  SLOW: TOO_SLOW,
  IDLE: "The connection was silent for too long.",
  HELLO_LATE: TOO_SLOW,
  FRAME_LATE: TOO_SLOW,
  TOKEN_REFUSED: REOPENED,
  OVERLOADED: FULL,
  INTERNAL: FAILED,
  RESUME: REOPENED,
  CLIENT_LEFT: "This page is not connected.",
  BAD_FRAME: MISUNDERSTOOD,
  FRAME_TOO_LARGE: MISUNDERSTOOD,
  OUT_OF_PHASE: MISUNDERSTOOD,
  WRONG_LANE: MISUNDERSTOOD,
  VERSION_UNSUPPORTED: "This page is out of date. Reload it.",
  ORIGIN_REFUSED: NOT_FROM_HERE,
  REPLACED: "You are connected in another tab or window.",
  ACCOUNT_GONE: "The account is gone: it was erased, or not used for a day.",
  TOO_MANY_UNKNOWN: MISUNDERSTOOD,
  FLOODING: "That was too much at once: the server has ended the connection.",
} satisfies Record<keyof typeof CloseCode, string>;

type Own = NetworkError | TimeoutError | TransportError | QueueFullError | ClosedError;

/** What failed on this side. */
const FAILURES = {
  NETWORK: "The server cannot be reached. Are you online?",
  TIMEOUT: "The server did not reply in time, so it is not known whether this was done.",
  NO_TRANSPORT: "This browser cannot connect to the server. An update of the browser may help.",
  QUEUE_FULL: "Too much is waiting to be sent.",
  CLOSED: "This is not open here any more.",
  LINK_LOST: "The connection was lost.",
} satisfies Record<Own["codeName"] | "LINK_LOST", string>;

/** Errors that are not refused requests: their names are all different. */
const OTHERS: Readonly<Record<string, string>> = { ...ENDS, ...FAILURES };

/** The fields of the forms of this page. */
const FIELDS: Readonly<Record<string, string>> = {
  name: `This name cannot be used: it needs ${limits.NAME_GRAPHEMES_MIN} to ${limits.NAME_GRAPHEMES_MAX} letters, digits or signs that people can see.`,
  language: "This language is not known here. Pick another one.",
  interests: "One of the things you like is too long, or has a sign that cannot be used.",
  age_bracket: "Please say how old you are.",
  recovery_code: "There is a typing mistake in this code.",
};

/** An error as a sentence for the user, and when to try again if that may help. */
export function failureText(error: unknown): string {
  if (!(error instanceof NoWrongError)) {
    return "Something went wrong on this page. Reload it.";
  }
  return [...sentences(error), againText(error)].filter((text) => text !== "").join(" ");
}

/** When to try again: after the time that the server asks for, or in a moment; empty when it would not help. */
export function againText({ isTemporary, retryAfterMs }: NoWrongError): string {
  if (retryAfterMs > 0) {
    const seconds = Math.ceil(retryAfterMs / 1_000);
    const time = seconds < 120 ? `${seconds}\u00a0s` : `${Math.ceil(seconds / 60)}\u00a0min`;
    return `Try again in ${time}.`;
  }
  return isTemporary ? "Try again in a moment." : "";
}

function sentences(error: NoWrongError): readonly string[] {
  const isRefusal = error instanceof RequestError;
  const fields = isRefusal && error.codeName === "INVALID" ? error.fields.map(fieldText) : [];
  if (fields.length > 0) {
    return [...new Set(fields)];
  }
  const known = (isRefusal ? REFUSALS : OTHERS)[error.codeName];
  return [known ?? "The server refused, for a reason that this page does not know. Reload the page."];
}

/** A field of a list is named with its index, as in `interests[2]`. */
function fieldText({ field }: FieldError): string {
  const [name = ""] = field.split("[");
  return FIELDS[name] ?? INVALID;
}
