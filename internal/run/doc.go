// Package run defines one run as a message: the request ([Request]), what happens ([Event]), and how it ended ([Result]). It
// runs nothing itself; a [Runner] does, such as the one of package run/local on this machine.
package run
