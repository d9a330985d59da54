package tool

import (
	"fmt"
	"path"
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// This file recognises files of Docker, compose, Kubernetes and GitHub, and says what their keys are called here.

// These hints are about keys of other formats that don't exist here, or belong elsewhere.
const (
	asSecret       = "name secrets where they are used: environment: [NAME=/secrets/NAME], or volumes: [{name: NAME, secret: NAME}]"
	noPorts        = "a tool can't be reached from outside its sandbox; leave it out"
	noPrivileged   = "no tool is privileged; security: {capabilities: root} is for apt, su and the like"
	pullFlag       = "use the flag --pull of mayfly run: missing, always or never"
	underResources = "cpu and memory are directly under resources"
	shellInScript  = "the script's first line names its shell: #!/bin/bash"
	noHealthChecks = "a tool runs and ends, so it has no health checks; leave it out"
	eachVariable   = "name each one: environment: [NAME=value], and NAME=/secrets/NAME for a secret"
	asSize         = "the key here is size, for example size: 1Gi"
)

// Hints maps keys of other formats to hints for a tool. A hint that is a key is the tool's key for the same thing; any other
// hint is a sentence. The other objects of a tool have such maps too.
func Hints() map[string]string {
	return map[string]string{
		"env": "environment", "envs": "environment", "vars": "environment", "variables": "environment", "envFrom": eachVariable, "env_file": "the flag --env-file of mayfly run reads one",
		"cmd": "command", "entrypoint": "command", "run": "script", "uses": "image", "container": "image", "container_name": "name",
		"workdir": "working_dir", "workingDir": "working_dir", "working_directory": "working_dir", "working-directory": "working_dir",
		"user": "security: {user: …}", "read_only": "security: {read_only: …}", "cap_add": "security: {capabilities: […]}",
		"capabilities": "security: {capabilities: […]}", "cap_drop": "a tool has only the capabilities that security lists; leave it out",
		"securityContext": "security", "security_opt": "security", "privileged": noPrivileged,
		"memory": "resources: {memory: …}", "mem_limit": "resources: {memory: …}", "cpu": "resources: {cpu: …}", "cpus": "resources: {cpu: …}",
		"pids_limit": "resources: {pids: …}", "ulimits": "resources: {nofile: …}", "limits": "resources",
		"secrets": asSecret, "mounts": "volumes", "volumeMounts": "volumes", "tmpfs": "volumes: [{name: NAME, size: 1Gi, mount_path: /PATH}]",
		"retries": "retry: {attempts: …}", "restart": "retry: {attempts: …}", "restartPolicy": "retry: {attempts: …}",
		"timeout-minutes": "timeout", "ports": noPorts, "expose": noPorts, "networks": "network", "network_mode": "network", "egress": "network: [{host: …}]", "allow_network": "network: [{host: …}]",
		"healthcheck": noHealthChecks, "livenessProbe": noHealthChecks, "readinessProbe": noHealthChecks, "shell": shellInScript,
		"image_pull_policy": pullFlag, "imagePullPolicy": pullFlag, "pull_policy": pullFlag,
		"inputs": "args", "params": "args", "parameters": "args", "with": "args", "steps": "a workflow's steps go under workflow: [{name: NAME, tool: {image: IMAGE}}]",
		"depends_on": "set it in a workflow's steps: needs", "needs": "set it in a workflow's steps: needs",
		"if": "set it in a workflow's steps: condition", "condition": "set it in a workflow's steps: condition",
		"tty": "the flag --tty of mayfly run gives a terminal", "stdin_open": "the flag --interactive of mayfly run gives standard input",
		"stdout": "set it in a test: expect: {stdout: …}, in a file for mayfly test", "expect": "set it in a file for mayfly test",
	}
}

func hintsForResources() map[string]string {
	return map[string]string{"cpus": "cpu", "mem": "memory", "mem_limit": "memory", "ram": "memory", "pids_limit": "pids", "storage": "disk", "limits": underResources, "requests": underResources}
}

func hintsForSecurity() map[string]string {
	return map[string]string{
		"runAsUser": "user", "readOnlyRootFilesystem": "read_only", "readonly": "read_only", "cap_add": "capabilities", "caps": "capabilities",
		"cap_drop": "only the listed capabilities are kept; leave it out", "privileged": noPrivileged,
	}
}

func hintsForRetry() map[string]string {
	return map[string]string{"max_attempts": "attempts", "retries": "attempts", "max_retries": "attempts", "count": "attempts", "limit": "attempts", "delay": "backoff", "interval": "backoff"}
}

func hintsForVolume() map[string]string {
	return map[string]string{
		"source": noSource, "src": noSource, "path": "file", "type": "the other keys already say this; leave it out", "target": "mount_path", "destination": "mount_path", "mountPath": "mount_path", "hostPath": noHostFolders, "host_path": noHostFolders, "bind": noHostFolders,
		"emptyDir": asSize, "empty_dir": asSize, "tmpfs": asSize, "secretName": "secret",
		"configMap": "use a file or folder beside the tool's file instead: file: PATH", "persistentVolumeClaim": "a cache (cache: NAME) is kept between runs",
		"readOnly": "files and secrets are read-only, size and cache writable; leave it out", "read_only": "files and secrets are read-only, size and cache writable; leave it out",
	}
}

func hintsForArgument() map[string]string {
	return map[string]string{"enum": "options", "choices": "options", "help": "description", "desc": "description", "value": "default"}
}

const noSource = "the key here is file, a path beside the tool's file; folders of this machine can't be mounted"

const noHostFolders = "folders of this machine can't be mounted: file copies in a file or folder beside the tool's file, size makes an empty folder, cache a folder that is kept"

// hostVolume returns the hint for a volume in the form of Docker's -v, SOURCE:TARGET.
func hostVolume(s string) (hint string, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || !path.IsAbs(parts[1]) {
		return "", false
	}
	name := path.Base(path.Clean("/" + parts[0]))
	if wrong, _ := CheckFileName(name); wrong != "" {
		name = "data"
	}
	return fmt.Sprintf("for a file or folder beside the tool's file, write {name: %s, file: %s, mount_path: %s}: it is copied in. With size: 1Gi instead of file, the folder is empty; with cache: %s, it is kept between runs", name, name, parts[1], name), true
}

// instruction matches the first line of a Dockerfile that isn't a comment.
var instruction = lazyregexp.New(`^(?:FROM|ARG) +[^:\s]\S*(?::\S+)?(?: +(?:AS|as) +\S+)?\s*$`)

// ForeignFile recognises a file of another program. It returns what the file is and what to do instead, or "". root is nil if
// the file isn't YAML.
func ForeignFile(lines []string, root *yaml.Node) (text, hint string) {
	const begin = "mayfly init NAME writes an example to start from"
	if root == nil || root.Kind == yaml.ScalarNode {
		for _, line := range lines {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			if instruction().MatchString(line) {
				return "this is a Dockerfile, and Mayfly doesn't build images", "build it with another program, load it with mayfly image load, and name it in a tool: image: NAME; " + begin
			}
			break
		}
		return "", ""
	}
	if root.Kind != yaml.MappingNode || shape.KeyOf(root, "image", "workflow", "parallel_tools", "tests", "tool") != nil {
		return "", ""
	}
	services := shape.Resolve(shape.Child(root, "services"))
	switch {
	case shape.Has(root, "apiVersion") && shape.Has(root, "kind"):
		return "this is a Kubernetes manifest, not a tool", "a tool is one container: its image, command and environment are top-level keys; " + begin
	case isPod(root) || shape.Has(root, "spec") && isPod(shape.Resolve(shape.Child(root, "spec"))):
		return "this is part of a Kubernetes manifest, not a tool", "a tool is one container: its image, command and environment are top-level keys; " + begin
	case shape.Has(root, "services") && services.Kind == yaml.MappingNode:
		return "this is a compose file, not a tool", "write a tool for each program that runs and ends, in its own file, with image, command, environment and volumes as top-level keys; " + begin
	case isAction(root):
		return "this is a GitHub action, not a tool", "a tool is one container: its image, and its command or script, are top-level keys, and its inputs go under args; " + begin
	case shape.Has(root, "jobs") && (shape.KeyOf(root, "on", "true", "permissions", "env", "name") != nil || hasJob(shape.Resolve(shape.Child(root, "jobs")))):
		return "this is a GitHub workflow, not one of Mayfly's", "steps go under workflow, each with a name and a tool: {image: IMAGE, script: …}; " + begin
	}
	return "", ""
}

// isAction reports whether a file is the action.yml of a GitHub action.
func isAction(root *yaml.Node) bool {
	runs := shape.Resolve(shape.Child(root, "runs"))
	return shape.Has(root, "runs") && runs.Kind == yaml.MappingNode && shape.Has(runs, "using")
}

// isPod reports whether a mapping describes a pod, or an object that makes pods.
func isPod(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	if shape.Has(n, "template") {
		template := shape.Resolve(shape.Child(n, "template"))
		return template.Kind == yaml.MappingNode && shape.Has(template, "spec")
	}
	return shape.KeyOf(n, "containers", "initContainers") != nil
}

// hasJob reports whether one of the jobs of a file has the form of a GitHub job.
func hasJob(jobs *yaml.Node) bool {
	if jobs.Kind != yaml.MappingNode {
		return false
	}
	for i := 1; i < len(jobs.Content); i += 2 {
		if job := shape.Resolve(jobs.Content[i]); job.Kind == yaml.MappingNode && shape.KeyOf(job, "runs-on", "uses") != nil {
			return true
		}
	}
	return false
}
