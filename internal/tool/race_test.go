//go:build race

package tool

// raceEnabled slows a program down five to ten times.
const raceEnabled = true
