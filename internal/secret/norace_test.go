//go:build !race

package secret

// raceEnabled says that the race detector makes this test many times slower.
const raceEnabled = false
