import { mergeConfig } from "vitest/config";
import tests from "./vitest.config.js";

// For `npm run mutants`: what measures time, or looks at declarations, says nothing about a mutant.
export default mergeConfig(tests, {
  test: { exclude: ["src/chat/time.test.ts", "src/index.test.ts"] },
});
