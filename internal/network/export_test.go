package network

// What the tests, which are outside of the package for networktest's sake, look at inside of it.
var (
	IsAddress   = isAddress
	IsPublic    = public
	UnmapPrefix = unmapPrefix
)
