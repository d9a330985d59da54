//go:build race

package conditiontest

// slowness is the factor by which the race detector makes an evaluation slower.
const slowness = 10
