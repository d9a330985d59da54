// Package secret reads secrets from their sources, and keeps them out of the output of runs.
//
// A [Source] returns the value of a secret by its name. The flags of a command line ([ParseFlags]) are a source, and so is the
// encrypted store of this machine ([Store]). A [Chain] asks several sources in order.
//
// A [Redactor] masks values in strings and byte streams, in every encoding in which a tool is likely to print them.
//
// # Limits
//
// Values are in the memory of this process while it uses them. The package wipes its own buffers after use, but the Go
// runtime makes no promise about copies on stacks and in registers, and values that callers get belong to the callers. Root,
// and anyone else who can read the memory of the process, can read the secrets.
package secret
