package atomicfile

// SyncDir makes the names in a directory outlive a crash: what was made, renamed or removed there. It does nothing on
// Windows, which can't sync a directory.
func SyncDir(string) error { return nil }
