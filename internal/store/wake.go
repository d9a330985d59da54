package store

// Wake tells a server that others have written to its database, so that it doesn't have to wait until it looks again.
type Wake interface {
	// Changed returns a channel that gets something soon after another server has let a run wait, or ended a run or asked for its end.
	// It doesn't say what, and one signal may stand for many writes. Signals are lost while the connection to
	// the database is broken, so a server also looks from time to time.
	//
	// It is the same channel each time, for one reader. It is never closed, and it is nil if there are no other servers.
	Changed() <-chan struct{}
	// Events returns such a channel for all that, and for events that another server has added.
	Events() <-chan struct{}
}
