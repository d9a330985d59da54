//go:build race

package usernet

// memoryFactor multiplies the limits of memory in tests: the race detector needs
// five to ten times the memory
// (https://go.dev/doc/articles/race_detector#Runtime_Overheads).
const memoryFactor = 10
