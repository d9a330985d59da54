package daemon

// withoutCores does nothing: Windows has no limit of a process for this.
func withoutCores() error { return nil }
