/**
 * A WebSocket without a network: the test opens it, speaks through it and loses it.
 */
import { type ClientFrame, decodeClientFrame, type ServerFrame } from "../generated/frame.js";
import { Decoder } from "../wire/envelope.js";
import { serverBytes } from "./samples.js";

/** The client's end of a WebSocket. The test opens it, speaks through it and loses it. */
export class FakeSocket extends EventTarget {
  readonly OPEN = 1;
  readonly url: string;
  binaryType = "blob";
  readyState = 0;
  bufferedAmount = 0;
  readonly sent: ClientFrame[] = [];
  /** The code that the client has closed with; `null` when it gave none, or did not close. */
  closeCode: number | null = null;
  readonly #decoder = new Decoder();

  constructor(url: string) {
    super();
    this.url = url;
  }

  send(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
    for (let raw = this.#decoder.nextFrame(65_536); raw !== null; raw = this.#decoder.nextFrame(65_536)) {
      this.sent.push(decodeClientFrame(raw.type, raw.body));
    }
  }

  close(code?: number): void {
    this.closeCode ??= code ?? null;
    if (this.readyState < 3) {
      this.readyState = 3;
      queueMicrotask(() => this.dispatchEvent(closeEvent()));
    }
  }

  open(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  /** The socket is lost. */
  lose(): void {
    this.readyState = 3;
    this.dispatchEvent(closeEvent());
  }

  say(...frames: ServerFrame[]): void {
    this.hear(serverBytes(...frames).buffer);
  }

  hear(data: ArrayBuffer | string): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** The frames of one kind that the client has sent. */
  all<Kind extends ClientFrame["kind"]>(kind: Kind): Extract<ClientFrame, { kind: Kind }>[] {
    return this.sent.filter((frame): frame is Extract<ClientFrame, { kind: Kind }> => frame.kind === kind);
  }

  /** The newest frame of one kind that the client has sent. */
  last<Kind extends ClientFrame["kind"]>(kind: Kind): Extract<ClientFrame, { kind: Kind }> {
    const found = this.all(kind).at(-1);
    if (found === undefined) {
      throw new Error(`no ${kind} among ${this.sent.map((frame) => frame.kind).join(", ")}`);
    }
    return found;
  }
}

function closeEvent(): Event {
  return Object.assign(new Event("close"), { code: 1006 });
}
