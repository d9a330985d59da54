import { build } from "./build";
import { log } from "./log";
import { overview } from "./overview";
import { run } from "./run";
import { runners } from "./runners";
import { runs } from "./runs";
import { secrets } from "./secrets";
import { settings } from "./settings";
import { terminal } from "./terminal";
import { tools } from "./tools";
import { workflow } from "./workflow";

/** All texts of the pages, in English, by area. A text with values is a function. */
export const text = {
  runs,
  run,
  log,
  overview,
  tools,
  secrets,
  runners,
  settings,
  workflow,
  build,
  terminal,
  product: "Mayfly",
  retry: "Try again",
  close: "Close",
  cancel: "Cancel",
  keep: "Keep it",
  loading: "Loading…",
  copy: "Copy",
  copied: "Copied",
  notCopied: "The browser doesn't let the page copy. Select the text, and copy it yourself.",
  away: "The server can't be reached",
  api: {
    answered: (status: number) => `The server answered with status ${status}.`,
    unreachable: "The server can't be reached.",
    unreachableRemedy: "Look whether it runs, and whether this machine is connected. The page tries again.",
    broke: "The connection to the server broke.",
    brokeRemedy: "The page connects again, and misses nothing.",
  },
  ago: {
    now: "just now",
    seconds: (n: number) => `${n} s ago`,
    minutes: (n: number) => `${n} min ago`,
    hours: (n: number) => `${n} h ago`,
    days: (n: number) => `${n} d ago`,
  },
  notFound: { title: "There is no such page", body: "The address may be mistyped, or of another version.", home: "Go to the overview" },
  frame: {
    skip: "Skip to the content",
    menu: "Menu",
    project: "Project",
    signOut: "Sign out",
    role: (role: string, project: string | undefined) => (project ? `${role} of ${project}` : `${role} of all projects`),
    keys: "Keys (?)",
    api: "API",
    nav: {
      overview: "Overview",
      runs: "Runs",
      tools: "Tools",
      build: "Builder",
      secrets: "Secrets",
      runners: "Runners",
      settings: "Settings",
    },
  },
  keys: {
    title: "Keys",
    use: "Keys without Ctrl do this",
    useHint: "Turn them off if you speak to your computer, or press them by accident. The menu has this list too.",
    everywhere: "Everywhere",
    help: "This list",
    go: (page: string) => `Go to: ${page}`,
    then: "then",
    log: "In a log",
    find: "Find in all lines (Ctrl F too)",
    next: "Next match",
    previous: "Previous match",
    wrap: "Wrap lines, or not",
    times: "Show times, or not",
    follow: "To the end, and follow it",
    move: "Move",
    chart: "In a chart",
    bars: "The span of time before, and after",
    first: "The first, and the last",
    open: "Its runs",
  },
  signIn: {
    title: "Sign in",
    token: "Token",
    hint: "An administrator makes tokens with mayfly token create. The first one is in the server's folder, in the file admin-token.",
    kept: "The token is sent once and not kept. The session ends after 12 hours without use.",
    submit: "Sign in",
    wrong: "This token isn't valid",
    wrongRemedy:
      "Look whether it is all of it, and this server's. Otherwise it has expired or was ended: ask an administrator for another.",
    ended: "Your session has ended",
    endedBody: "Sign in again. The page is as you left it.",
  },
  status: {
    queued: "queued",
    pulling: "pulling",
    creating: "creating",
    running: "running",
    succeeded: "succeeded",
    failed: "failed",
    timed_out: "timed out",
    cancelled: "cancelled",
    out_of_memory: "out of memory",
    denied: "denied",
    error: "error",
    lost: "lost",
    skipped: "skipped",
  } as Record<string, string>,
};
