import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Tests of parts that need no browser.
export default defineConfig({ plugins: [svelte()], test: { include: ["src/**/*.test.ts"] } });
