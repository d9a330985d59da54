//go:build !race

package usernet

const memoryFactor = 1
