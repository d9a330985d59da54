package store

import "context"

// Contents knows which contents each project was sent. A content is kept once, whoever sent it; a digest alone opens none: only what was sent to a project
// may be named there. What a runner has sent is noted too, under a name that no project has. The methods may be called from several goroutines.
type Contents interface {
	// AddContents notes that a project was sent these contents. Some may be noted already.
	AddContents(ctx context.Context, project string, digests []string) error
	// Contents returns those of these contents that a project was sent.
	Contents(ctx context.Context, project string, digests []string) (map[string]bool, error)
	// ForgetContent forgets a content that is removed, of all projects.
	ForgetContent(ctx context.Context, digest string) error
}
