//go:build !race

package usernet

// memoryFactor multiplies the limits of memory in tests; see race_test.go.
const memoryFactor = 1
