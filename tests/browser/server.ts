/**
 * The real server, on free ports and in a folder of its own.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Time to start: a debug build on a busy machine. */
const START_DEADLINE_MS = 30_000;

/** A running server. */
export class Server {
  /** The address of the page. */
  url = "";
  readonly #folder: string;
  #process: ChildProcess;
  /** Ports are kept over a restart, so that clients find it again. */
  #addresses = { http: "127.0.0.1:0", quic: "127.0.0.1:0" };
  #log = "";

  readonly #settings: readonly string[];

  private constructor(folder: string, settings: readonly string[]) {
    this.#folder = folder;
    this.#settings = settings;
    this.#process = this.#spawn();
  }

  /** Starts a server with more `KEY=VALUE` settings; resolves when it is ready. */
  static async start(...settings: readonly string[]): Promise<Server> {
    const server = new Server(await mkdtemp(join(tmpdir(), "nowrong-browser-")), settings);
    await server.#ready();
    return server;
  }

  /** Kills it with `SIGKILL` and starts it again, on the same ports and data. */
  async killAndRestart(): Promise<void> {
    await this.#end("SIGKILL");
    this.#process = this.#spawn();
    await this.#ready();
  }

  /** Lets it do nothing any more, as a machine that hangs or a path that is cut; until {@link Server.resume}. */
  pause(): void {
    this.#process.kill("SIGSTOP");
  }

  /** Lets it go on. */
  resume(): void {
    this.#process.kill("SIGCONT");
  }

  /** Its log so far. */
  get log(): string {
    return this.#log;
  }

  /** Stops it and removes its data. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    await rm(this.#folder, { recursive: true, force: true });
  }

  #spawn(): ChildProcess {
    const binary = process.env["NOWRONG_BIN"];
    if (binary === undefined) {
      throw new Error("NOWRONG_BIN must name the server's binary");
    }
    const { http, quic } = this.#addresses;
    const child = spawn(
      binary,
      [
        "serve",
        ...["--listen-http", http, "--listen-quic", quic],
        ...["--data", join(this.#folder, "data"), "--web-root", join(ROOT, "examples/vanilla/dist")],
        ...["--log-level", "debug", "--log-format", "json"],
        // Tests that ask for proofs of work say so.
        ...["--set", "limits.proof_work=0"],
        ...this.#settings.flatMap((setting) => ["--set", setting]),
      ],
      { cwd: this.#folder, env: plainEnvironment(), stdio: ["ignore", "pipe", "pipe"] },
    );
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#log += chunk.toString();
    });
    return child;
  }

  /** Waits for the line that names the addresses where it listens. */
  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`the server ${why}:\n${this.#log}`));
      const timer = setTimeout(() => fail("did not start in time"), START_DEADLINE_MS);
      this.#process.once("exit", (code) => fail(`ended with ${code}`));
      let text = "";
      this.#process.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        const ready = /^ready http=(\S+) webtransport=https:\/\/([^/\s]+)/m.exec(text);
        if (ready !== null) {
          const [, url = "", quic = ""] = ready;
          this.url = url;
          this.#addresses = { http: new URL(url).host, quic };
          clearTimeout(timer);
          resolve();
        }
      });
    });
  }

  #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.kill(signal);
    });
  }
}

/** The environment without `NOWRONG_…`: the server would take `NOWRONG_BIN` for a setting, and refuse it. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("NOWRONG_")));
}
