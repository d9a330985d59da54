import { defineConfig } from "vitest/config";

// Tests in a browser; test/web of the project starts them, with a server. They share the server, so one runs at a time.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    reporters: ["verbose"],
  },
});
