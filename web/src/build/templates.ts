export interface Template {
  definition: string;
  files: { path: string; text: string; executable?: boolean }[];
}

/** templates are what a new tool or workflow begins with. Each is right as it is, and runs. */
export const templates: Record<string, (name: string) => Template> = {
  shell: (name) => ({
    definition: "tool.yaml",
    files: [
      {
        path: "tool.yaml",
        text: `name: ${name}
description: Says hello
image: busybox
script: {file: script.sh}
args:
  - name: who
    description: Whom to greet
    default: world
outputs: [GREETING]
timeout: 1m
`,
      },
      {
        path: "script.sh",
        executable: true,
        text: `#!/bin/sh
set -e
echo "hello $WHO"
echo "GREETING=hello $WHO" >>"$MAYFLY_OUTPUT"
`,
      },
    ],
  }),
  python: (name) => ({
    definition: "tool.yaml",
    files: [
      {
        path: "tool.yaml",
        text: `name: ${name}
description: Counts the words of a text
image: python:3.12-slim
script: {file: main.py}
args:
  - name: text
    required: true
outputs: [WORDS]
timeout: 1m
`,
      },
      {
        path: "main.py",
        executable: true,
        text: `#!/usr/bin/env python3
import os

words = len(os.environ["TEXT"].split())
print(f"{words} words")
with open(os.environ["MAYFLY_OUTPUT"], "a") as out:
    out.write(f"WORDS={words}\\n")
`,
      },
      {
        path: `${name}_test.yaml`,
        text: `tool: tool.yaml
tests:
  - name: it counts words
    inputs: {text: one two three}
    expect: {outputs: {WORDS: "3"}}
`,
      },
    ],
  }),
  http: (name) => ({
    definition: "tool.yaml",
    files: [
      {
        path: "tool.yaml",
        text: `name: ${name}
description: Asks whether a service is healthy
image: busybox
script: {file: check.sh}
args:
  - name: url
    default: http://status.example.com/health
network:
  egress:
    - host: status.example.com
timeout: 30s
`,
      },
      {
        path: "check.sh",
        executable: true,
        text: `#!/bin/sh
if wget -q -O - "$URL" | grep -q ok; then
  echo "healthy"
else
  echo "not healthy" >&2
  exit 1
fi
`,
      },
      {
        path: `${name}_test.yaml`,
        text: `tool: tool.yaml
tests:
  - name: a healthy service
    http: [{method: GET, url: http://status.example.com/health, body: ok}]
    expect: {stdout: healthy}
  - name: a service that is down
    http: [{url: http://status.example.com/health, status: 503}]
    expect: {exit_code: 1}
`,
      },
    ],
  }),
  command: (name) => ({
    definition: "tool.yaml",
    files: [
      {
        path: "tool.yaml",
        text: `name: ${name}
description: Shows what the image has
image: busybox
command: [ls, -l, /bin]
timeout: 1m
`,
      },
    ],
  }),
  workflow: (name) => ({
    definition: "workflow.yaml",
    files: [
      {
        path: "workflow.yaml",
        text: `name: ${name}
description: Finds something, and reports it
workflow:
  - name: find
    tool:
      image: busybox
      script: echo "FOUND=42" >>"$MAYFLY_OUTPUT"
    outputs: [FOUND]
  - name: report
    tool:
      image: busybox
      args: [{name: found}]
      script: echo "found $FOUND"
    inputs: {found: "\${find.FOUND}"}
`,
      },
    ],
  }),
};

/** isTest says whether a file is one of tests, by its name, as mayfly test does. */
export const isTest = (path: string) => /(_test|\.test)\.ya?ml$|(^|\/)tests\.yaml$/.test(path);

/** word writes a name as a scalar of YAML. */
const word = (s: string) => (/^[A-Za-z][\w./-]*\.ya?ml$/.test(s) ? s : JSON.stringify(s));

/** noTest is the head of a file of tests of a tool, to which the first one is added. */
export const noTest = (definition: string) => `tool: ${word(definition)}\n`;

/** firstTest is what a file of tests begins with. */
export const firstTest = (definition: string, kind: "tool" | "workflow") =>
  `${kind}: ${word(definition)}\ntests:\n  - name: it works\n    expect: {exit_code: 0}\n`;
