// Package server is Mayfly's server: the API, the hand-out of runs to runners, and what happens when one of them is silent. It
// keeps all of its state in a [store] and an [archive.Storage], so any number of servers may share them.
//
// It imports no engine, and nothing that has one: a tool can't run in it by accident.
package server
