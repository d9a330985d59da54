// Package tooltest runs suites of tests. Each test is a real run of the tool, with mocks in place of the network and of
// commands, and ends with one [Result].
//
// Each test has its own mocks, sandbox and secrets, so that tests can run in parallel. A test compares what the mocks saw
// and what the run did with what it expects, and each difference is a [Failure]. A request or a call without a mock fails
// the test whatever it expects, since the test doesn't describe it.
package tooltest
