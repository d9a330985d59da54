//go:build !race

package conditiontest

const slowness = 1
