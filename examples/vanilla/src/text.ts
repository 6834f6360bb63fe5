/**
 * The sentences of the page about a chat.
 *
 * @module
 */

import type { Chat, ChatEnd, ChatMessage } from "@nowrong/sdk";
import { languageName } from "./language.ts";
import { countdown } from "./time.ts";

/** Why the two were matched, as a sentence. */
export function whyText(chat: Chat): string {
  const { sharedInterests, isSameLanguage } = chat.why;
  const language = languageName(chat.me.language);
  const shares = sharedInterests.length > 0 ? `share ${sharedInterests.join(", ")}` : "";
  const speaks = isSameLanguage ? `both speak ${language}` : "";
  const reasons = [shares, speaks].filter((reason) => reason !== "").join(" and ");
  return reasons === "" ? "You were both up for a chat." : `You ${reasons}.`;
}

/** The text of a message, short enough for a quote. */
export function shortText({ body }: ChatMessage): string {
  if (body.kind !== "text") {
    return body.kind === "deleted" ? "deleted message" : "message of a newer kind";
  }
  return body.text.length > 120 ? `${body.text.slice(0, 119)}…` : body.text;
}

/** The state of the partner. `heldMs` is how much longer a held seat is kept. */
export function statusText(chat: Chat, heldMs: number, isAway: boolean): string {
  if (chat.end !== null || chat.partner.seat === "free") {
    return "gone";
  }
  if (chat.partner.seat === "held") {
    return `reconnecting… ${countdown(heldMs)}`;
  }
  if (chat.isPartnerTyping) {
    return "typing…";
  }
  return isAway ? "looking elsewhere" : "here";
}

/** A notice about a lost connection or a silence. `idleAtMs` is when silence ends the chat; 0 for never. */
export function noticeText(chat: Chat, now: number, idleAtMs: number): string {
  if (chat.partner.seat === "held") {
    return `${chat.partner.name} lost the connection. The seat is kept for ${countdown(chat.partner.heldUntilMs - now)}.`;
  }
  return idleAtMs > 0
    ? `Quiet here: the chat ends in ${countdown(idleAtMs - now)} unless one of you speaks.`
    : "";
}

/** How a chat ended, as a sentence. */
export function endText(chat: Chat, { reason, member }: ChatEnd): string {
  const { name } = chat.partner;
  switch (reason) {
    case "left":
      return member === chat.you ? "You left this chat." : `${name} left this chat.`;
    case "gone":
      return member === chat.you ? "You were away for too long." : `${name} did not come back.`;
    case "idle":
      return "Nobody said anything for a while.";
    case "expired":
      return "A day is over: this chat is erased.";
    default:
      return "This chat is over.";
  }
}
