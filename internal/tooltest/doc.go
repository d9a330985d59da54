// Package tooltest runs suites of tests: each test is a real run of the tool with mocks in the place of the world, and
// ends with one [Result].
//
// A test's mocks are its own, and so are its sandbox and its secrets, so that tests run at once. What the mocks saw and
// what the run did is compared with what the test expects; each difference is a [Failure]. A request or a call without a
// mock fails the test whatever it expects: the tool has met a world that nobody described.
package tooltest
