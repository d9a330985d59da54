package shape

// Advise is for tests with the files of packages that import this one.
var Advise = advise
