// Package secret knows where secrets come from, and keeps them out of what a run prints.
//
// A [Source] gives the value of a secret by its name. What the command line says ([ParseFlags]) is one, the encrypted
// store of this machine ([Store]) another, and a [Chain] asks several in order.
//
// A [Redactor] masks values, in every encoding that a tool is likely to print them in, in strings and byte streams.
//
// # What it can't do
//
// Values are in the memory of this process while they are used. Buffers that this package owns are wiped when it is
// done with them, but the Go runtime gives no promise about copies on stacks and in registers, and what is handed to a
// caller is the caller's. Whoever can read the memory of the process, or is root, can read the secrets.
package secret
