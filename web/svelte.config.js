import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess(),
  // A page is made anew for each address (Page.svelte), so what it takes from its address at first stays right.
  compilerOptions: { warningFilter: (warning) => warning.code !== "state_referenced_locally" },
};
