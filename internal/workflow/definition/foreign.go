package definition

import "github.com/mayfly-run/mayfly/internal/tool"

// This file has hints for keys of workflows in other formats. A hint that is a key is ours for the same thing; any other hint
// is a sentence.

func hintsForWorkflow() map[string]string {
	return withHintsOfTools(map[string]string{
		"steps": "workflow", "jobs": "workflow", "tasks": "workflow", "tools": "workflow", "stages": "workflow", "parallel": "parallel_tools",
		"env": "environment", "vars": "environment", "variables": "environment", "args": "inputs", "with": "inputs", "params": "inputs", "parameters": "inputs",
		"on": "a workflow starts when mayfly run starts; let cron or another program start it", "concurrency": "max_parallel",
		"image": "set it in each step's tool", "always": "finally", "retries": "set it in the steps: retry: {attempts: …}",
		"retry": "set it in each step", "depends_on": "set it in the steps: needs",
	}, "secrets")
}

func hintsForStep() map[string]string {
	const ofItsTool = "it belongs in the step's tool: tool: {image: IMAGE, command: […]}, or in a file that tool names"
	return withHintsOfTools(map[string]string{
		"env": "environment", "vars": "environment", "variables": "environment", "egress": ofItsTool,
		"with": "inputs", "args": "inputs", "params": "inputs", "parameters": "inputs", "arguments": "inputs", "uses": "tool",
		"run": "tool: {image: IMAGE, script: …}", "script": "tool: {image: IMAGE, script: …}", "command": ofItsTool, "cmd": ofItsTool,
		"image": ofItsTool, "entrypoint": ofItsTool, "user": ofItsTool, "workdir": ofItsTool, "working_dir": ofItsTool,
		"working_directory": ofItsTool, "working-directory": ofItsTool, "memory": ofItsTool, "cpus": ofItsTool, "cap_add": ofItsTool,
		"volumes": ofItsTool, "resources": ofItsTool, "security": ofItsTool, "network": ofItsTool, "network_mode": ofItsTool,
		"retries": "retry: {attempts: …}", "restart": "retry: {attempts: …}",
		"if": "condition", "when": "condition", "depends_on": "needs", "dependsOn": "needs", "depends": "needs", "after": "needs", "id": "name",
		"continue-on-error": "continue_on_failure", "continue_on_error": "continue_on_failure", "allow_failure": "continue_on_failure",
		"timeout-minutes": "timeout", "strategy": "for_each", "matrix": "for_each: {matrix: …}", "loop": "for_each", "with_items": "for_each", "foreach": "for_each",
		"steps": "steps don't nest; put them all under workflow", "runs-on": "runner", "runs_on": "runner",
		"stdout": "a step passes on its outputs, which its tool writes to $MAYFLY_OUTPUT",
	}, "envFrom", "shell", "healthcheck", "privileged", "secrets", "ports", "image_pull_policy", "pull_policy")
}

// withHintsOfTools adds a tool's hints for the given keys.
func withHintsOfTools(hints map[string]string, keys ...string) map[string]string {
	of := tool.Hints()
	for _, key := range keys {
		hints[key] = of[key]
	}
	return hints
}
