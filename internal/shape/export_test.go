package shape

// Advise exports advise for tests that use files of packages that import this one.
var Advise = advise
