import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** licenses writes licenses.txt, with the licenses of the packages whose code is in the pages. A package without one stops the build. */
export function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_, bundle) {
      const folders = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const module of chunk.moduleIds) {
          const folder = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(module)?.[1];
          if (folder) folders.add(folder);
        }
      }
      const texts = [...folders].map((folder) => {
        const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, string>;
        const files = readdirSync(folder).filter((name) => /^(licen[sc]e|copying|notice)/i.test(name));
        if (!about.license || files.length === 0) this.error(`${about.name} has no license in ${folder}`);
        return files
          .sort()
          .map(
            (file) =>
              `==== npm package ${about.name}@${about.version}, ${about.license}: ${file}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`,
          );
      });
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: texts.flat().sort().join("\n") });
    },
  };
}
