import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

import { licenses } from "./licenses";

export default defineConfig({
  plugins: [svelte(), licenses()],
  html: { cspNonce: "MAYFLY-NONCE" }, // the server puts another number in its place for each page
  build: {
    outDir: "dist",
    emptyOutDir: false, // make web does that, except for the placeholder
    target: ["chrome111", "firefox128", "safari17"],
    assetsInlineLimit: 0, // the policy of the page allows no data: URLs except for images
    sourcemap: false,
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": { target: process.env.MAYFLY_URL, secure: false } } },
});
