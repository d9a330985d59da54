//go:build !unix

package content

const nonblock = 0
