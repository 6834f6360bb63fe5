import { defineConfig } from "vitest/config";

// One file at a time: each starts browsers, and two at once would starve each other of the processor.
export default defineConfig({
  test: { include: ["*.test.ts"], fileParallelism: false, testTimeout: 60_000, hookTimeout: 90_000 },
});
