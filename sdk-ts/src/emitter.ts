/**
 * Typed events. A listener that throws does not keep the others from being called.
 *
 * @module
 */

/** Removes a listener. Calling it again does nothing. */
export type Unsubscribe = () => void;

/** Listeners by the name of their event. `Events` maps each name to the type of its event. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Calls `listener` for each event called `name`, until the returned function is called. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Unsubscribe {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  /** Calls every listener of `name` with `event`. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
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

  /** Removes every listener. */
  clear(): void {
    this.#listeners.clear();
  }
}

/** Reports the error of an application's listener in the place where uncaught errors are reported. */
function reportLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
