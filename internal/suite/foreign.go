package suite

// This file has hints for keys that tests have in other formats. A hint that is a key is ours for the same thing; any other
// hint is a sentence.

func hintsForSuite() map[string]string {
	return map[string]string{
		"env": "environment", "vars": "environment", "variables": "environment", "args": "inputs", "with": "inputs", "params": "inputs",
		"user": "set it in the tool: security: {user: …}", "cases": "tests", "expect": "set it in each test, under tests", "network": "allow_network",
	}
}

func hintsForTest() map[string]string {
	inExpect := func(key string) string { return "expect: {" + key + ": …}" }
	return map[string]string{
		"env": "environment", "vars": "environment", "variables": "environment", "user": "set it in the tool: security: {user: …}", "args": "inputs", "with": "inputs", "params": "inputs", "stdin": "a test's tool has no standard input; give it inputs",
		"stdout": inExpect("stdout"), "stderr": inExpect("stderr"), "exit_code": inExpect("exit_code"), "exit-code": inExpect("exit_code"),
		"status": inExpect("status"), "outputs": inExpect("outputs"), "requests": inExpect("requests"), "assert": "expect", "asserts": "expect", "expected": "expect",
		"command": "set it in the tool; commands mocks programs that it starts", "cmd": "set it in the tool; commands mocks programs that it starts",
		"run": "set the script in the tool; a test says what it expects", "network": "allow_network", "retries": "a test runs once; leave it out",
		"if": "every test runs; leave it out", "depends_on": "tests have no order; leave it out", "needs": "tests have no order; leave it out",
	}
}
