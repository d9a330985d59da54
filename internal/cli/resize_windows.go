package cli

import "os"

// notifyResize does nothing: a Windows console has no signal for its size.
func notifyResize(*os.File, chan<- [2]uint16) (stop func()) { return func() {} }
