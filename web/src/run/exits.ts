import type { Schemas } from "../api/client";
import { text } from "../text";

const t = text.run.exits;

/** meaning explains an exit status, or returns "" if there is nothing to explain. A tool's own status may be one that Mayfly uses, too. */
export function meaning(run: Pick<Schemas["Run"], "status" | "exit_code" | "code">): string {
  const n = run.exit_code;
  switch (run.code) {
    case "tool_failed":
      if (n === 2) return t.usage;
      if (n === 125) return t.own125;
      if (n === 126) return t.shell126;
      if (n === 127) return t.shell127;
      return t.tool(n);
    case "out_of_memory":
      return t.memory;
    case "timed_out":
      return t.timedOut;
    case "cancelled":
      return t.cancelled;
    case "command_not_found":
      return t.notFound;
    case "command_not_executable":
      return t.notExecutable;
  }
  if (run.status === "succeeded" || run.status === "skipped" || n === 0) return "";
  if (n === 124) return t.timedOut;
  if (n === 137) return t.killed9;
  if (n > 128 && n < 192) return t.killed(text.run.signals[n - 128] ?? String(n - 128));
  if (n === 125) return t.mayfly;
  return t.tool(n);
}

/** setting writes a limit as a definition has it, so that it can be set. */
export function setting(n: number): string {
  for (const [unit, size] of [
    ["Gi", 2 ** 30],
    ["Mi", 2 ** 20],
    ["Ki", 2 ** 10],
  ] as const)
    if (n >= size && n % size === 0) return `${n / size}${unit}`;
  return String(n);
}

/** rate writes bits per second as a definition has them. */
export function rate(bits: number): string {
  for (const [unit, size] of [
    ["Gbps", 1e9],
    ["Mbps", 1e6],
    ["kbps", 1e3],
  ] as const)
    if (bits >= size && bits % size === 0) return `${bits / size}${unit}`;
  return `${bits}bps`;
}

/** span writes seconds as a definition has them. */
export function span(seconds: number): string {
  if (seconds >= 3600 && seconds % 3600 === 0) return `${seconds / 3600}h`;
  if (seconds >= 60 && seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}
