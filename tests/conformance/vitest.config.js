import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["suite.test.js"],
    // A retry would hide a real fault.
    retry: 0,
    testTimeout: 25_000,
  },
})
