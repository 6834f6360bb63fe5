import { afterEach, describe, expect, it, vi } from "vitest";
import { Emitter } from "./emitter.js";

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
