import { describe, expect, it, vi } from "vitest";
import type { Chat } from "../chat/chat.js";
import { TimeoutError } from "../error.js";
import { ticketState } from "../testing/samples.js";
import { Ticket } from "./ticket.js";

const CHAT = {} as Chat;

describe("a ticket", () => {
  it("is settled once: a match is not undone by an end", async () => {
    const ticket = Ticket.create(ticketState(), () => Promise.resolve(true));
    const changed = vi.fn();
    ticket.on("change", changed);
    ticket.match(CHAT);
    ticket.end(new TimeoutError("late"));
    expect(await ticket.matched).toBe(CHAT);
    expect(ticket.status).toBe("matched");
    expect(changed).toHaveBeenCalledOnce();
  });

  it("is settled once: an end is not undone by a match", async () => {
    const ticket = Ticket.create(ticketState(), () => Promise.resolve(true));
    ticket.end(null);
    ticket.match(CHAT);
    await expect(ticket.matched).rejects.toMatchObject({ message: "The ticket was cancelled." });
    expect(ticket.status).toBe("cancelled");
  });

  it("has the state that the server reported last, and reports each change", () => {
    const ticket = Ticket.create(ticketState(), () => Promise.resolve(true));
    const stages: string[] = [];
    const off = ticket.on("change", ({ stage, waiting }) => stages.push(`${stage} ${waiting}`));
    ticket.widen("category");
    ticket.update(ticketState({ stage: "anyone", waiting: 7 }));
    off();
    ticket.widen("language");
    expect(stages).toEqual(["category 1", "anyone 7"]);
    expect(ticket.stage).toBe("language");
  });
});
