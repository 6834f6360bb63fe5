import { mergeConfig } from "vitest/config";
import tests from "./vitest.config.js";

// A mutant often leaves a test waiting for ever. Ten times what the slowest test needs here.
const DEADLINE_MS = 4_000;

// For `npm run mutants`. Tests that measure time or read declarations say nothing about a mutant. The test
// files share one set of modules, because loading them again takes longer than most tests.
export default mergeConfig(tests, {
  test: {
    exclude: ["src/chat/time.test.ts", "src/index.test.ts"],
    isolate: false,
    testTimeout: DEADLINE_MS,
  },
});
