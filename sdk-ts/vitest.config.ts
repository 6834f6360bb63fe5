import { defineConfig } from "vitest/config";

// One test compiles the whole package, which takes a while on a machine that is busy.
const DEADLINE_MS = 30_000;

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
    testTimeout: DEADLINE_MS,
    hookTimeout: 2 * DEADLINE_MS,
  },
});
