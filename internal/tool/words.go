package tool

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// This file has the checks of names, paths and other words. Each returns what is wrong with a text and a hint, both empty if
// nothing is wrong, in the form that shapes report.

// NamePattern is the JSON Schema pattern of what [CheckName] accepts.
const NamePattern = `^[A-Za-z0-9_-]{1,63}$`

// CheckName accepts the names of tools, arguments and steps.
func CheckName(s string) (wrong, hint string) {
	if s == "" || len(s) > 63 || !shape.MadeOf(s, "_-") {
		return "is not a name", `use letters, digits, "-" and "_", at most 63 of them`
	}
	return "", ""
}

// FilePattern is what [CheckFileName] accepts.
const FilePattern = `^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$`

// CheckFileName accepts names that become file names: those of volumes and caches.
func CheckFileName(s string) (wrong, hint string) {
	if s == "" || len(s) > 63 || s[0] == '.' || !shape.MadeOf(s, "._-") {
		return "is not a name", `use letters, digits, ".", "-" and "_", at most 63 of them, and no "." at the start`
	}
	return "", ""
}

// SecretPattern is what [CheckSecretName] accepts.
const SecretPattern = `^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$`

// ValidSecretName reports whether s can name a secret: at most 253 letters, digits, '.', '-' and '_', not starting with '.'.
// Without a slash or a colon, a name can't lead out of the store in which it is looked up.
func ValidSecretName(s string) bool {
	return s != "" && len(s) <= 253 && s[0] != '.' && shape.MadeOf(s, "._-")
}

// CheckSecretName accepts the names of secrets.
func CheckSecretName(s string) (wrong, hint string) {
	if !ValidSecretName(s) {
		return "is not the name of a secret", `use letters, digits, ".", "-" and "_", and no "." at the start`
	}
	return "", ""
}

// EnvPattern is what [CheckEnvName] accepts.
const EnvPattern = `^[A-Za-z_][A-Za-z0-9_]{0,254}$`

// ValidEnvName reports whether s can name an environment variable in every shell (POSIX.1-2017, Base Definitions, section
// 8.1, and the lower-case letters that it leaves to applications).
func ValidEnvName(s string) bool {
	return s != "" && len(s) <= 255 && (s[0] < '0' || s[0] > '9') && shape.MadeOf(s, "_")
}

// CheckEnvName accepts the names of variables; see [ValidEnvName].
func CheckEnvName(s string) (wrong, hint string) {
	if !ValidEnvName(s) {
		return "is not the name of a variable", `use letters, digits and "_", and no digit at the start`
	}
	return "", ""
}

// imagePattern matches references whose repository has no capital letters; see [repository].
const imagePattern = `^([^/@]*[.:][^/@]*/|localhost/)?[^A-Z:@]*(:[^/@]*)?(@.*)?$`

func checkImage(s string) (wrong, hint string) {
	switch {
	case s == "":
		return "is empty", "write a reference such as alpine:3.20"
	case len(s) > 1024:
		return "is too long for an image reference", ""
	}
	from, to := repository(s)
	tag, _, _ := strings.Cut(s[to:], "@")
	if s[0] == '-' || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || strings.Contains(s, "://") || strings.Contains(tag, "/") {
		return "is not an image reference", "write it as registry/name:tag, without a scheme and without spaces"
	}
	if lower := strings.ToLower(s[from:to]); lower != s[from:to] {
		return "has capital letters in its name, which no registry accepts", "write its name as " + shape.Quote(lower)
	}
	return "", ""
}

// repository returns where the repository is in an image reference: between the registry and the tag or digest. Only its name must be
// in lower case (OCI distribution spec 1.1, "Pulling manifests").
func repository(ref string) (from, to int) {
	to = len(ref)
	if i := strings.IndexByte(ref, '@'); i >= 0 {
		to = i
	}
	registry, _, found := strings.Cut(ref[:to], "/")
	if found && (strings.ContainsAny(registry, ".:") || registry == "localhost") {
		from = len(registry) + 1
	}
	if i := strings.IndexByte(ref[from:to], ':'); i >= 0 {
		to = from + i
	}
	return from, to
}

// checkAbsolute accepts absolute, clean paths outside the kernel's own filesystems. A path below /proc/self/fd could lead out
// of the sandbox by a descriptor (attack I02), and a mount over /proc, /sys or /dev would replace what confines the tool.
func checkAbsolute(s string) (wrong, hint string) {
	switch {
	case s == "" || s[0] != '/':
		return "is not an absolute path", `it must start with "/"`
	case len(s) > 4095:
		return "is too long for a path", ""
	case strings.ContainsFunc(s, unicode.IsControl):
		return "contains a control character", ""
	}
	if clean := path.Clean(s); clean != s {
		return "is not a clean path", "write " + shape.Quote(clean)
	}
	for _, root := range []string{"/proc", "/sys", "/dev"} {
		if s == root || strings.HasPrefix(s, root+"/") {
			return "is in " + root, "/proc, /sys and /dev belong to the sandbox"
		}
	}
	return "", ""
}

// CheckMountPath accepts paths of a sandbox where something may be mounted.
func CheckMountPath(s string) (wrong, hint string) {
	if wrong, hint := checkAbsolute(s); wrong != "" {
		return wrong, hint
	}
	if s == "/" {
		return "would cover the whole root filesystem", "mount at a folder below it"
	}
	if s == SecretsDir {
		return "would cover the secrets", "mount below it, at " + SecretsDir + "/NAME"
	}
	return "", ""
}

// checkInside returns a check for paths that stay in the tool's folder.
func checkInside() func(string) (wrong, hint string) {
	return shape.InsideFolder("the tool", "check.py", "lib/check.py")
}

// checkVolumeFile is checkInside for the files of volumes. Any other path is most likely one of this machine.
func checkVolumeFile(s string) (wrong, hint string) {
	if strings.HasPrefix(s, "~/") {
		return `starts with "~", which isn't expanded here`, noHostFolders
	}
	wrong, hint = checkInside()(s)
	if wrong != "" && (path.IsAbs(s) || strings.HasPrefix(path.Clean(s), "..")) {
		hint = noHostFolders
	}
	return wrong, hint
}

func checkUser(s string) (wrong, hint string) {
	const advice = "write a user id or name, and optionally a group after a colon: 1000:1000"
	user, group, both := strings.Cut(s, ":")
	for i, part := range []string{user, group} {
		if i == 1 && !both {
			break
		}
		if part == "" || len(part) > 32 || !shape.MadeOf(part, "._-") || part[0] == '-' {
			return "is not a user", advice
		}
		// A sandbox has 65,536 ids.
		if strings.Trim(part, "0123456789") == "" && (len(part) > 5 || len(part) == 5 && part > "65535") {
			return "is out of range", "ids go from 0 to 65535"
		}
	}
	return "", ""
}

func checkRuntime(s string) (wrong, hint string) {
	if s == "" || len(s) > 63 || !shape.IsAlnum(s[0]) || !shape.MadeOf(s, "._-") {
		return "is not the name of a runtime", "write default or gvisor"
	}
	return "", ""
}

// capabilities lists the Linux capabilities of capabilities(7), without CAP_.
func capabilities() []string {
	return []string{
		"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
		"DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
		"LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
		"NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT",
		"SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
		"SYS_TTY_CONFIG", "WAKE_ALARM",
	}
}

// RootCapabilities are the capabilities that let root change owners and users, and use files and processes of others, as
// programs expect. RootShort stands for them.
var RootCapabilities = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "KILL"}

// RootShort is the short form of RootCapabilities in a list of capabilities.
const RootShort = "root"

// Kept returns the capabilities that the tool keeps, with RootShort replaced by what it stands for.
func (s Security) Kept() []string {
	var out []string
	for _, name := range s.Capabilities {
		these := []string{name}
		if name == strings.ToUpper(RootShort) {
			these = RootCapabilities
		}
		for _, c := range these {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// plainCapability returns a capability's name in upper case without CAP_.
func plainCapability(s string) string {
	return strings.TrimPrefix(strings.ToUpper(s), "CAP_")
}

// CheckCapability accepts the capabilities of capabilities(7), with or without CAP_, and [RootShort].
func CheckCapability(s string) (wrong, hint string) {
	if s == RootShort {
		return "", ""
	}
	name := plainCapability(s)
	if name == "ALL" {
		return "would keep every capability", "name the ones that the tool needs, or write root for those that change owners and users"
	}
	if all := capabilities(); !slices.Contains(all, name) {
		near := shape.Nearest(name, all)
		if near != "" {
			near = fmt.Sprintf("did you mean %q?", near)
		}
		return "is not known to Linux", near
	}
	return "", ""
}

// CheckLabelKey accepts the keys of labels.
func CheckLabelKey(s string) (wrong, hint string) {
	if s == "" || len(s) > 253 || !shape.MadeOf(s, "._-/") || !shape.IsAlnum(s[0]) || !shape.IsAlnum(s[len(s)-1]) {
		return "is not the key of a label", `use letters, digits, ".", "-", "_" and "/", with a letter or digit at both ends`
	}
	return "", ""
}

// CheckLabelValue accepts the values of labels.
func CheckLabelValue(s string) (wrong, hint string) {
	if len(s) > 253 {
		return "is too long for a label", "at most 253 bytes are allowed"
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "contains a control character", ""
	}
	return "", ""
}
