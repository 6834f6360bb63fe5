/**
 * Typed events. A listener that throws does not keep the others from being called.
 *
 * A listener may call anything, so it must never be called while its caller is between two states: a
 * {@link Turn} holds events back until the state is whole again.
 *
 * @module
 */

/** Removes a listener. Calling it again does nothing. */
export type Unsubscribe = () => void;

/** Holds events back while a step runs, and tells them in their order when the outermost step is done. */
export class Turn {
  #depth = 0;
  #isTelling = false;
  readonly #waiting: (() => void)[] = [];

  /** Runs `step`, and returns what it returns. Events are told after it, or after the step that it is part of. */
  run<Result>(step: () => Result): Result {
    this.#depth += 1;
    try {
      return step();
    } finally {
      this.#depth -= 1;
      this.#tellAll();
    }
  }

  /** Calls `tell` as soon as no step runs, after everything that waits already. */
  tell(tell: () => void): void {
    this.#waiting.push(tell);
    this.#tellAll();
  }

  #tellAll(): void {
    if (this.#depth > 0 || this.#isTelling) {
      return;
    }
    this.#isTelling = true;
    try {
      for (let tell = this.#waiting.shift(); tell !== undefined; tell = this.#waiting.shift()) {
        tell();
      }
    } finally {
      this.#isTelling = false;
    }
  }
}

/** Listeners by the name of their event. `Events` maps each name to the type of its event. */
export class Emitter<Events extends object> {
  readonly #turn: Turn;
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** `turn` says when listeners may be called; emitters that share it keep one order. */
  constructor(turn: Turn = new Turn()) {
    this.#turn = turn;
  }

  /** Calls `listener` for each event called `name`, until the returned function is called. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Unsubscribe {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  /** Calls every listener of `name` with `event`, as soon as no step runs. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    this.#turn.tell(() => this.#tell(name, event));
  }

  #tell<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (event: Events[Name]) => void)(event);
      } catch (error) {
        reportLater(error);
      }
    }
  }

  /** As {@link Emitter.emit}, but `make` builds the event, and is called only when there is a listener. */
  emitMade<Name extends keyof Events>(name: Name, make: () => Events[Name]): void {
    if ((this.#listeners.get(name)?.size ?? 0) > 0) {
      this.emit(name, make());
    }
  }

  /** Removes every listener, once they have heard what was emitted before. */
  clear(): void {
    this.#turn.tell(() => this.#listeners.clear());
  }
}

/** Reports the error of an application's listener in the place where uncaught errors are reported. */
function reportLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
