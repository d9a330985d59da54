package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// Drafts keeps what is being written: files of a tool or workflow that aren't a version yet, and needn't be valid. The methods may be called from
// several goroutines.
type Drafts interface {
	// SetDraft makes a draft, or replaces it, if the one that is there has the tag is; of nil is any, and "" is for no draft. It sets the time. The
	// error is ErrChanged, or ErrTooManyDrafts if it would be one more than MostDrafts.
	SetDraft(ctx context.Context, d Draft, is *string) (Draft, error)
	// Draft returns a draft. The error is ErrNotFound.
	Draft(ctx context.Context, project, name string) (Draft, error)
	// DraftFile returns the digest of a file of a draft, or "" if the draft has no such file. The error is ErrNotFound if there is no such draft. A page that
	// opens a draft asks for one file after another.
	DraftFile(ctx context.Context, project, name, path string) (digest string, err error)
	// Drafts returns the drafts of a project by name, without their manifests, and what was left out because it is too much or can't be read.
	Drafts(ctx context.Context, project string) (all []Draft, omitted []string, err error)
	// RemoveDraft removes a draft if it has the tag is; of nil is any. The error is ErrNotFound or ErrChanged.
	RemoveDraft(ctx context.Context, project, name string, is *string) error
}

// MostDrafts bounds the drafts of a project, which are listed as a whole.
const MostDrafts = 1000

// Draft is a draft of a tool or workflow.
type Draft struct {
	Project, Name string
	Kind          string // tool or workflow; empty if that can't be told
	Definition    string // the path of the definition among the files
	Manifest      []byte // the files, in JSON
	Tag           string // another one for other files
	Base          int    // the version that it began from; 0 for none
	Changed       time.Time
	ChangedBy     string
	Problem       string // why it, or a part of it, can't be read
	// Own are the paths in a folder of the files that go if the draft is removed, which Draft returns; nil if no files are in a folder.
	Own []string
}

// TagOfDraft returns the tag of a draft with these files, which are in order, and this base.
func TagOfDraft(manifest []byte, base int) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d\n%s", base, manifest)
	return fmt.Sprintf("%x", sum.Sum(nil)[:16])
}
