package drafts

import (
	"io/fs"
	"path"
	"regexp"
	"time"
)

// unfinished begins the name of a file that is written beside the one that it replaces.
const unfinished = ".mayfly-"

// isUnfinished matches the whole name: what unfinished is followed by is a rand.Text.
var isUnfinished = regexp.MustCompile(`^\.mayfly-[A-Z2-7]{26}$`)

// abandoned is how old an unfinished file is whose process was killed: another mayfly dev may be writing in the same folder.
const abandoned = 10 * time.Minute

// removeAbandoned removes the unfinished files that killed processes have left. What can't be removed or read stays.
func (f *Folder) removeAbandoned() {
	left := mostEntries
	skip := func(name string) bool { return skipped(name) && !isUnfinished.MatchString(name) }
	_ = f.walk(".", 0, &left, skip, func(name string, e fs.DirEntry) error {
		if !e.Type().IsRegular() || !isUnfinished.MatchString(path.Base(name)) {
			return nil
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = f.root.Remove(name)
		}
		return nil
	}, func(string, ...any) {})
}
