import { configDefaults, defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: [...configDefaults.exclude, "test/bench/**"],
    // A bound, not a pace: a busy machine takes its time.
    testTimeout: 30_000,
    globalSetup: ["test/harness/redis.ts"],
    setupFiles: ["test/harness/stdin.ts"],
    // Tests need no order, of files or within one.
    sequence: { concurrent: true },
    // `.ci/run` reads how the tests went from this file.
    ...(process.env["CI"] === undefined
      ? {}
      : { reporters: ["default", "json"], outputFile: { json: "node_modules/.cache/tests.json" } })
  }
})
