package run

// Code says why a run or a command ended as it did. It is for programs, since the text of a reason may change. A code keeps
// its meaning; there may be new codes. A success has none.
type Code string

// These are the codes. [Codes] has their meanings.
const (
	CodeToolFailed    Code = "tool_failed"
	CodeKilled        Code = "killed"
	CodeTimedOut      Code = "timed_out"
	CodeCancelled     Code = "cancelled"
	CodeOutOfMemory   Code = "out_of_memory"
	CodeInvalidOutput Code = "invalid_output"
	CodeTestFailed    Code = "test_failed"
	CodeSkipped       Code = "skipped"
	CodeSandboxLost   Code = "sandbox_lost"

	CodeNotFound      Code = "command_not_found"
	CodeNotExecutable Code = "command_not_executable"

	CodePolicyDenied Code = "policy_denied"
	CodeUnsupported  Code = "unsupported"

	CodeInvalidDefinition Code = "invalid_definition"
	CodeInvalidInput      Code = "invalid_input"
	CodeInvalidUsage      Code = "invalid_usage"
	CodeToolNotFound      Code = "tool_not_found"
	CodeFileNotFound      Code = "file_not_found"
	CodeUntrusted         Code = "untrusted"
	CodePermissionDenied  Code = "permission_denied"

	CodeSecretNotFound Code = "secret_not_found"
	CodeSecretDamaged  Code = "secret_damaged"
	CodeKeyExists      Code = "key_exists"

	CodeImageNotFound       Code = "image_not_found"
	CodeImageAmbiguous      Code = "image_ambiguous"
	CodeImageReference      Code = "invalid_image_reference"
	CodeImageInvalid        Code = "invalid_image"
	CodeImageTooLarge       Code = "image_too_large"
	CodeImagePlatform       Code = "image_platform"
	CodeImageMounted        Code = "image_mounted"
	CodeRegistryUnreachable Code = "registry_unreachable"
	CodeRegistryUnavailable Code = "registry_unavailable"
	CodeRegistryDenied      Code = "registry_denied"
	CodeRegistryRefused     Code = "registry_refused"
	CodeNoSpace             Code = "no_space"
	CodeNotKept             Code = "not_kept"
	CodeRunning             Code = "already_running"

	CodeInvalidRequest    Code = "invalid_request"
	CodeUnauthenticated   Code = "unauthenticated"
	CodeForbidden         Code = "forbidden"
	CodeCrossSite         Code = "cross_site"
	CodeNoSuchThing       Code = "no_such_resource"
	CodeExists            Code = "already_exists"
	CodeOver              Code = "already_ended"
	CodeNotOver           Code = "not_ended"
	CodeNotHeld           Code = "attempt_not_held"
	CodeLogRemoved        Code = "log_removed"
	CodeLogDamaged        Code = "log_damaged"
	CodeArchive           Code = "archive_unavailable"
	CodeDatabase          Code = "database_unavailable"
	CodeBusy              Code = "busy"
	CodeRunnerLost        Code = "runner_lost"
	CodeRunnerVersion     Code = "runner_version"
	CodeServerUnreachable Code = "server_unreachable"
	CodeServerRefused     Code = "server_refused"
	CodeChanged           Code = "changed_meanwhile"
	CodeRateLimited       Code = "rate_limited"
	CodeQueueFull         Code = "queue_full"
	CodeKeyReused         Code = "idempotency_key_reused"
	CodeAuditBroken       Code = "audit_broken"

	CodeError Code = "error"
)

// CodeInfo describes a code.
type CodeInfo struct {
	Code Code
	// Exit is the exit status that goes with the code, as the documents write it.
	Exit string
	// Meaning is for people.
	Meaning string
	// Source is the part of Mayfly that reports it.
	Source string
}

// Codes returns all codes. docs/TOOL-FORMAT.md has the same table; a test compares the two.
func Codes() []CodeInfo {
	const failure = "125"
	return []CodeInfo{
		{CodeToolFailed, "1-255", "the tool ended with its own exit status", "the tool"},
		{CodeKilled, "128+n", "signal n killed the tool", "the tool"},
		{CodeTimedOut, "124", "the tool, or the workflow, took longer than its timeout", "the run"},
		{CodeCancelled, "130", "whoever started it ended it", "the run"},
		{CodeOutOfMemory, "137", "the tool used all of its memory, sockets or file locks", "the kernel"},
		{CodeInvalidOutput, failure, "the tool succeeded, but wrote an output wrongly or not at all", "the run"},
		{CodeTestFailed, "1", "a test that a server has carried out failed", "the run"},
		{CodeSkipped, "0", "a workflow's step did not run: its condition is false, or a step before it failed", "the workflow"},
		{CodeSandboxLost, failure, "the sandbox vanished", "the engine"},

		{CodeNotFound, "127", "the tool's command is not in the image", "the engine"},
		{CodeNotExecutable, "126", "the tool's command can't be executed", "the engine"},

		{CodePolicyDenied, failure, "the operator's policy refuses the tool", "the policy"},
		{CodeUnsupported, failure, "this host can't enforce or do what is asked", "the engine, the image store"},

		{CodeInvalidDefinition, failure, "a tool, workflow, test, policy or another file is wrong; `problems` has the places", "the definition"},
		{CodeInvalidInput, failure, "an input, or a value that a step is given, is missing or wrong", "the definition, the workflow"},
		{CodeInvalidUsage, failure, "the command line is wrong", "the command"},
		{CodeToolNotFound, failure, "there is no tool or workflow of that name", "the definition"},
		{CodeFileNotFound, failure, "there is no such file", "the system"},
		{CodeUntrusted, failure, "another user could have put the file where a search found it", "the definition"},
		{CodePermissionDenied, failure, "the system refuses this user something", "the system"},

		{CodeSecretNotFound, failure, "nothing has the secret", "the secrets"},
		{CodeSecretDamaged, failure, "the stored secret is damaged, or was tampered with", "the secrets"},
		{CodeKeyExists, failure, "the store of secrets already has a key", "the secrets"},

		{CodeImageNotFound, failure, "neither the store nor the registry has the image", "the image store"},
		{CodeImageAmbiguous, failure, "more than one image begins with the short id", "the image store"},
		{CodeImageReference, failure, "the name of the image is not valid", "the image store"},
		{CodeImageInvalid, failure, "the image is damaged, malformed or hostile", "the image store"},
		{CodeImageTooLarge, failure, "the image is larger than a limit of this host", "the image store"},
		{CodeImagePlatform, failure, "the image doesn't exist for this platform", "the image store"},
		{CodeImageMounted, failure, "something is mounted in a folder that must be removed", "the image store"},
		{CodeRegistryUnreachable, failure, "the registry doesn't answer, or stopped answering", "the image store"},
		{CodeRegistryUnavailable, failure, "the registry answers with an error or a rate limit", "the image store"},
		{CodeRegistryDenied, failure, "the registry refuses the credentials, or requires some", "the image store"},
		{CodeRegistryRefused, failure, "what the registry does isn't safe: its TLS, plain HTTP, or a redirect", "the image store"},
		{CodeNoSpace, failure, "the disk is full", "the image store"},
		{CodeNotKept, "125", "no sandbox of that run is kept", "the engine"},
		{CodeRunning, failure, "another process is carrying out that run of a workflow", "the journal"},

		{CodeInvalidRequest, failure, "a request to the server is malformed; `errors` has the places", "the server"},
		{CodeUnauthenticated, failure, "the server doesn't know the token, or it has expired", "the server"},
		{CodeForbidden, failure, "the token's role doesn't allow the request in that project", "the server"},
		{CodeCrossSite, failure, "a browser's request with a session's cookie doesn't come from the server's own pages", "the server"},
		{CodeNoSuchThing, failure, "the server has no such tool, version, run or content", "the server"},
		{CodeExists, failure, "the server has one of that name already", "the server"},
		{CodeOver, failure, "the run has ended already", "the server"},
		{CodeNotOver, failure, "the run has not ended, so it has no result yet", "the server"},
		{CodeNotHeld, failure, "a runner reports on an attempt that isn't its own, or no longer", "the server"},
		{CodeLogRemoved, failure, "the run's log was removed: the server keeps logs for a limited time, or up to a size", "the server"},
		{CodeLogDamaged, failure, "a part of the run's log is damaged where the server keeps it", "the server"},
		{CodeArchive, failure, "the server can't reach or use its archive", "the server"},
		{CodeDatabase, failure, "the server can't reach its database, or the database takes too long", "the server"},
		{CodeBusy, failure, "the server or its database has too much else to do; the same request may succeed", "the server"},
		{CodeRunnerLost, failure, "the runner was silent for longer than its lease", "the server"},
		{CodeRunnerVersion, failure, "server and runner are too far apart in their versions", "the server"},
		{CodeChanged, failure, "what is to be replaced isn't the version that `If-Match` names", "the server"},
		{CodeRateLimited, failure, "the token, or the address without a valid one, makes too many requests, or the token has too many streams open; `Retry-After` says how long to wait", "the server"},
		{CodeQueueFull, failure, "too many runs of the project wait; `Retry-After` says how long to wait", "the server"},
		{CodeKeyReused, failure, "another request was sent with the same `Idempotency-Key`", "the server"},
		{CodeAuditBroken, failure, "the audit log isn't as it was written, or its end is missing", "the command"},
		{CodeServerUnreachable, failure, "no server answers at that address, or its database doesn't", "the command, the server"},
		{CodeServerRefused, failure, "the server's certificate isn't the one that is known, or its answer isn't Mayfly's", "the command"},

		{CodeError, failure, "any other failure", "Mayfly"},
	}
}

// Coder is an error that knows its code.
type Coder interface {
	error
	Code() Code
}

// NewError returns an error with a code and a text.
func NewError(code Code, text string) error { return &codedError{code, text} }

// codedError is an error of which only the code and the text are known: an error from a result, or one with secrets masked.
type codedError struct {
	code Code
	text string
}

func (e *codedError) Error() string { return e.text }

// Code implements [Coder].
func (e *codedError) Code() Code { return e.code }
