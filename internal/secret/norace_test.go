//go:build !race

package secret

// raceEnabled says that this test binary is many times slower.
const raceEnabled = false
