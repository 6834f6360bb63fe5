import { mergeConfig } from "vitest/config";
import tests from "./vitest.config.js";

// A mutant often leaves a test waiting for a promise. Ten times what the slowest test needs here.
const DEADLINE_MS = 4_000;

// For `npm run mutants`. Tests that measure cost or read declarations take long, and say little about a
// mutant. The test files share one set of modules, because loading them again takes longer than most tests.
export default mergeConfig(tests, {
  test: {
    exclude: ["src/chat/cost.test.ts", "src/chat/time.test.ts", "src/index.test.ts"],
    isolate: false,
    testTimeout: DEADLINE_MS,
  },
});
