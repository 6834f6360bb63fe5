import { mergeConfig } from "vitest/config";
import tests from "./vitest.config.js";

// For `npm run mutants`. What measures time, or looks at declarations, says nothing about a mutant. The
// test files share one set of modules, since loading them anew takes longer than most tests.
export default mergeConfig(tests, {
  test: { exclude: ["src/chat/time.test.ts", "src/index.test.ts"], isolate: false },
});
