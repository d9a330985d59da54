import { javascript } from "@codemirror/lang-javascript";
import { json } from "@codemirror/lang-json";
import { python } from "@codemirror/lang-python";
import { yaml } from "@codemirror/lang-yaml";
import { StreamLanguage } from "@codemirror/language";
import { dockerFile } from "@codemirror/legacy-modes/mode/dockerfile";
import { properties } from "@codemirror/legacy-modes/mode/properties";
import { perl } from "@codemirror/legacy-modes/mode/perl";
import { ruby } from "@codemirror/legacy-modes/mode/ruby";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import type { Extension } from "@codemirror/state";

/** languageOf returns the highlighting of a file, by its name, or by its #! line. */
export function languageOf(path: string, text: string): Extension {
  const ext = /\.([A-Za-z0-9]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  const program = /^#!.*?\b(bash|dash|ash|ksh|sh|python|node|perl|ruby)[\d.]*\b/.exec(text.slice(0, 200))?.[1] ?? "";
  switch (ext || program) {
    case "yaml":
    case "yml":
      return yaml();
    case "json":
      return json();
    case "py":
    case "python":
      return python();
    case "js":
    case "mjs":
    case "ts":
    case "node":
      return javascript({ typescript: ext === "ts" });
    case "sh":
    case "bash":
    case "dash":
    case "ash":
    case "ksh":
      return StreamLanguage.define(shell);
    case "pl":
    case "perl":
      return StreamLanguage.define(perl);
    case "rb":
    case "ruby":
      return StreamLanguage.define(ruby);
    case "toml":
      return StreamLanguage.define(toml);
    case "ini":
    case "cfg":
    case "conf":
    case "env":
    case "properties":
      return StreamLanguage.define(properties);
  }
  if (/(^|[/.])dockerfile$/i.test(path)) return StreamLanguage.define(dockerFile);
  return program ? languageOf(`x.${program}`, "") : [];
}
