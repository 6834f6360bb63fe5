/**
 * Typed events. A listener that throws does not keep the others from hearing.
 *
 * @module
 */

/** Takes a listener back. Harmless when called again. */
export type Unsubscribe = () => void;

/** Listeners by the name of their event; `Events` maps names to what is told. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Calls `listener` at each `name`, until the answer is called. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Unsubscribe {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  /** Tells every listener of `name`. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (event: Events[Name]) => void)(event);
      } catch (error) {
        reportLater(error);
      }
    }
  }

  /** Tells every listener of `name` what `make` returns, which is not called when there is none. */
  emitMade<Name extends keyof Events>(name: Name, make: () => Events[Name]): void {
    if ((this.#listeners.get(name)?.size ?? 0) > 0) {
      this.emit(name, make());
    }
  }

  /** Forgets every listener. */
  clear(): void {
    this.#listeners.clear();
  }
}

/** Lets an error of an application's listener surface where uncaught errors do. */
function reportLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
