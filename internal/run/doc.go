// Package run is one run as a message: what somebody asks for ([Request]), what happens ([Event]), and how it ended
// ([Result]). It carries nothing out; a [Runner] does, as that of run/local on this machine.
package run
