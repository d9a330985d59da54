//go:build race

package conditiontest

// slowness is what the race detector makes of a second.
const slowness = 10
