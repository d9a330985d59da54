// Package failure says what an error means for a run and for a command: its code, its exit status, and the state of the run.
// No other package does; package run has the table of codes.
package failure

import (
	"errors"
	"io/fs"
	"reflect"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Failure is the meaning of an error.
type Failure struct {
	Code     run.Code
	ExitCode int
	State    run.State
}

// Of returns what an error means. For joined errors, the first rule that matches one of them decides.
func Of(err error) Failure {
	for _, r := range rules() {
		if found, ok := r.match(err); ok {
			return found
		}
	}
	return failed(run.CodeError)
}

// CodeOf returns the code of an error, or "" for nil.
func CodeOf(err error) run.Code {
	if err == nil {
		return ""
	}
	return Of(err).Code
}

// rule gives a kind of error its meaning.
type rule struct {
	name  string // the error's type or variable
	match func(error) (Failure, bool)
}

// rules returns the rules in the order in which they are tried: causes that a user can change come before what follows from them.
func rules() []rule {
	return []rule{
		as("Coder", func(e run.Coder) Failure { return failed(e.Code()) }),
		typed(func(*policy.DeniedError) Failure {
			return Failure{run.CodePolicyDenied, run.ExitError, run.Denied}
		}),
		typed(func(e *engine.CommandError) Failure {
			code := run.CodeNotExecutable
			if e.NotFound {
				code = run.CodeNotFound
			}
			return Failure{code, e.ExitCode(), run.Failed}
		}),
		is("engine.ErrLost", engine.ErrLost, Failure{run.CodeSandboxLost, run.ExitError, run.Lost}),
		typed(func(*engine.Unsupported) Failure { return failed(run.CodeUnsupported) }),
		typed(func(*engine.NotKeptError) Failure { return failed(run.CodeNotKept) }),
		typed(func(*engine.InvalidError) Failure { return failed(run.CodeInvalidDefinition) }),

		typed(func(*audit.BrokenError) Failure { return failed(run.CodeAuditBroken) }),

		typed(func(*content.DigestError) Failure { return failed(run.CodeInvalidInput) }),
		typed(func(*tool.InputError) Failure { return failed(run.CodeInvalidInput) }),
		typed(func(*ownership.UntrustedError) Failure { return failed(run.CodeUntrusted) }),
		typed(func(*definition.NotFoundError) Failure { return failed(run.CodeToolNotFound) }),
		typed(func(*shape.Error) Failure { return failed(run.CodeInvalidDefinition) }),
		typed(func(*tool.WorkflowError) Failure { return failed(run.CodeInvalidDefinition) }),
		typed(func(*definition.NotRunnableError) Failure { return failed(run.CodeInvalidDefinition) }),

		typed(func(*condition.Problem) Failure { return failed(run.CodeInvalidDefinition) }),

		typed(func(*secret.NotFoundError) Failure { return failed(run.CodeSecretNotFound) }),
		is("secret.ErrTampered", secret.ErrTampered, failed(run.CodeSecretDamaged)),
		is("secret.ErrHasKey", secret.ErrHasKey, failed(run.CodeKeyExists)),

		is("image.ErrNotFound", image.ErrNotFound, failed(run.CodeImageNotFound)),
		is("image.ErrAmbiguous", image.ErrAmbiguous, failed(run.CodeImageAmbiguous)),
		is("image.ErrReference", image.ErrReference, failed(run.CodeImageReference)),
		is("image.ErrNoSpace", image.ErrNoSpace, failed(run.CodeNoSpace)),
		is("image.ErrPlatform", image.ErrPlatform, failed(run.CodeImagePlatform)),
		is("image.ErrBudget", image.ErrBudget, failed(run.CodeImageTooLarge)),
		is("image.ErrMounted", image.ErrMounted, failed(run.CodeImageMounted)),
		is("image.ErrUnsupported", image.ErrUnsupported, failed(run.CodeUnsupported)),
		is("image.ErrUnauthorized", image.ErrUnauthorized, failed(run.CodeRegistryDenied)),
		is("image.ErrUnavailable", image.ErrUnavailable, failed(run.CodeRegistryUnavailable)),
		is("image.ErrTLS", image.ErrTLS, failed(run.CodeRegistryRefused)),
		is("image.ErrPlainHTTP", image.ErrPlainHTTP, failed(run.CodeRegistryRefused)),
		is("image.ErrCredentialHost", image.ErrCredentialHost, failed(run.CodeRegistryRefused)),
		is("image.ErrRedirect", image.ErrRedirect, failed(run.CodeRegistryRefused)),
		is("image.ErrUnreachable", image.ErrUnreachable, failed(run.CodeRegistryUnreachable)),
		is("image.ErrStalled", image.ErrStalled, failed(run.CodeRegistryUnreachable)),
		is("image.ErrTruncated", image.ErrTruncated, failed(run.CodeRegistryUnreachable)),
		is("image.ErrOversize", image.ErrOversize, failed(run.CodeImageInvalid)),
		is("image.ErrDigest", image.ErrDigest, failed(run.CodeImageInvalid)),
		is("image.ErrMalformed", image.ErrMalformed, failed(run.CodeImageInvalid)),
		is("image.ErrHostile", image.ErrHostile, failed(run.CodeImageInvalid)),

		typed(func(*shape.PlacedError) Failure { return failed(run.CodeInvalidDefinition) }),

		is("syscall.ENOSPC", syscall.ENOSPC, failed(run.CodeNoSpace)),
		is("fs.ErrPermission", fs.ErrPermission, failed(run.CodePermissionDenied)),
		is("fs.ErrNotExist", fs.ErrNotExist, failed(run.CodeFileNotFound)),
	}
}

// failed returns a failure of Mayfly itself.
func failed(code run.Code) Failure { return Failure{code, run.ExitError, run.Error} }

// is returns a rule for a value that errors.Is finds.
func is(name string, target error, f Failure) rule {
	return rule{name, func(err error) (Failure, bool) { return f, errors.Is(err, target) }}
}

// typed is [as] with the name of the type, such as tool.InputError.
func typed[E error](of func(E) Failure) rule {
	return as(reflect.TypeFor[E]().Elem().String(), of)
}

// as returns a rule for a type that errors.As finds.
func as[E error](name string, of func(E) Failure) rule {
	return rule{name, func(err error) (Failure, bool) {
		var e E
		if !errors.As(err, &e) {
			return Failure{}, false
		}
		return of(e), true
	}}
}
