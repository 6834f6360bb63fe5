import { afterEach, describe, expect, it, vi } from "vitest";
import { Emitter, Turn } from "./emitter.js";

interface Events {
  one: number;
  two: string;
}

afterEach(() => vi.unstubAllGlobals());

describe("an emitter", () => {
  it("calls the listeners of the name, in the order in which they were added, until they are removed", () => {
    const emitter = new Emitter<Events>();
    const heard: unknown[] = [];
    const off = emitter.on("one", (event) => heard.push(["first", event]));
    emitter.on("one", (event) => heard.push(["second", event]));
    emitter.on("two", (event) => heard.push(["other", event]));
    emitter.emit("one", 1);
    off();
    off();
    emitter.emit("one", 2);
    emitter.emit("two", "x");
    emitter.clear();
    emitter.emit("one", 3);
    expect(heard).toEqual([
      ["first", 1],
      ["second", 1],
      ["second", 2],
      ["other", "x"],
    ]);
  });

  it("calls the other listeners when one throws, and reports the error as uncaught", () => {
    const emitter = new Emitter<Events>();
    const heard: number[] = [];
    const later: (() => void)[] = [];
    vi.stubGlobal("queueMicrotask", (act: () => void) => later.push(act));
    emitter.on("one", () => {
      throw new Error("of the application");
    });
    emitter.on("one", (event) => heard.push(event));
    emitter.emit("one", 1);
    expect(heard).toEqual([1]);
    expect(later).toHaveLength(1);
    expect(later[0]).toThrow("of the application");
  });

  it("calls only the listeners that were there when the event happened", () => {
    const emitter = new Emitter<Events>();
    const heard: string[] = [];
    const off = emitter.on("one", () => {
      heard.push("first");
      emitter.on("one", () => heard.push("late"));
      off();
    });
    emitter.emit("one", 1);
    expect(heard).toEqual(["first"]);
    emitter.emit("one", 2);
    expect(heard).toEqual(["first", "late"]);
  });

  it("makes an event only when there is a listener", () => {
    const emitter = new Emitter<Events>();
    const make = vi.fn(() => 7);
    emitter.emitMade("one", make);
    const off = emitter.on("one", () => undefined);
    off();
    emitter.emitMade("one", make);
    expect(make).not.toHaveBeenCalled();
    const heard = vi.fn();
    emitter.on("one", heard);
    emitter.emitMade("one", make);
    expect(heard).toHaveBeenCalledExactlyOnceWith(7);
  });
});

describe("a turn", () => {
  it("tells events after the outermost step, in their order, whichever emitter has them", () => {
    const turn = new Turn();
    const [one, two] = [new Emitter<{ word: string }>(turn), new Emitter<{ word: string }>(turn)];
    const heard: string[] = [];
    one.on("word", (word) => heard.push(word));
    two.on("word", (word) => heard.push(word));
    const result = turn.run(() => {
      one.emit("word", "first");
      turn.run(() => two.emit("word", "second"));
      expect(heard).toEqual([]);
      return 7;
    });
    one.emit("word", "third");
    expect([result, heard]).toEqual([7, ["first", "second", "third"]]);
  });

  it("tells what a listener causes after that listener", () => {
    const turn = new Turn();
    const emitter = new Emitter<{ count: number }>(turn);
    const heard: string[] = [];
    emitter.on("count", (count) => {
      heard.push(`begin ${count}`);
      if (count < 2) {
        turn.run(() => emitter.emit("count", count + 1));
      }
      heard.push(`end ${count}`);
    });
    emitter.emit("count", 0);
    expect(heard).toEqual(["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]);
  });

  it("tells what was emitted before a step failed, and before the listeners were removed", () => {
    const turn = new Turn();
    const emitter = new Emitter<{ word: string }>(turn);
    const heard: string[] = [];
    emitter.on("word", (word) => heard.push(word));
    const failing = () =>
      turn.run(() => {
        emitter.emit("word", "before");
        emitter.clear();
        emitter.emit("word", "after");
        throw new Error("a step that failed");
      });
    expect(failing).toThrow("a step that failed");
    expect(heard).toEqual(["before"]);
  });
});
