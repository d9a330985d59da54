package store

import (
	"context"
	"time"
)

// Secrets keeps sealed secrets: it never has a value. The methods may be called from several goroutines.
type Secrets interface {
	// SetSecret makes the next version of a secret if it has the version and the tools of is; of nil is any, and a version 0 is no secret.
	// Its tools stay as they are if those of s are nil. seal is called with its number and time, perhaps more than once. The error is
	// ErrChanged.
	SetSecret(ctx context.Context, s Secret, is *Secret, seal func(version int, set time.Time) ([]byte, error)) (Secret, error)
	// LimitSecret sets which tools may use a secret, if it has the version and the tools of is, as SetSecret does. The error is ErrNotFound
	// or ErrChanged.
	LimitSecret(ctx context.Context, project, name string, tools []string, is *Secret) error
	// Secret returns a secret. The error is ErrNotFound.
	Secret(ctx context.Context, project, name string) (Secret, error)
	// Secrets returns the secrets of a project, or with "" of all, by project and name.
	Secrets(ctx context.Context, project string, p Page) ([]Secret, error)
	// UsedSecrets says that a run gets secrets.
	UsedSecrets(ctx context.Context, project string, names []string, run string) error
	// RewrapSecret replaces what is sealed, if it is still the given one.
	RewrapSecret(ctx context.Context, s Secret, sealed []byte) error
	// SecretVersions returns who has set the latest SecretHistory versions of a secret, the newest first.
	SecretVersions(ctx context.Context, project, name string) ([]SecretVersion, error)
	// SecretUses returns the latest SecretHistory runs that had a secret, the newest first.
	SecretUses(ctx context.Context, project, name string) ([]SecretUse, error)
	// RemoveSecret removes a secret, with its versions and uses. If is isn't nil, the secret must be that. The error is ErrNotFound or ErrChanged.
	RemoveSecret(ctx context.Context, project, name string, is *Secret) error
}

// Secret is the latest version of a secret.
type Secret struct {
	Project, Name string
	Version       int
	Sealed        []byte
	Tools         []string // the tools that may use it; empty for all of the project
	Set           time.Time
	SetBy         string
	Used          time.Time // zero if no run has had it
	UsedBy        string    // the run that had it last
}

// SecretHistory is how many versions and uses of a secret are kept.
const SecretHistory = 100

// SecretVersion is a version of a secret, without what is sealed.
type SecretVersion struct {
	Version int
	Set     time.Time
	SetBy   string
}

// SecretUse is a run that had a secret.
type SecretUse struct {
	Run     string
	Tool    string // empty if the run was removed, or its definition came with the request
	Used    time.Time
	Version int
}
