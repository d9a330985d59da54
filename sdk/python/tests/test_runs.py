"""Real runs of small tools."""

import http.server
import re
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import tests  # noqa: F401 - it sets up mayfly
from kubiya import MockFailure, ToolError, ToolTest


def shell(command, **more):
    """Return a tool that runs one command."""
    return {"name": "shelled", "image": "mayfly/shell", "command": command, "network": {"egress": [{"host": "*.example.com"}]}, **more}


class TestHTTP(ToolTest):
    def setUp(self):
        self.mock_http_response("GET", "/health", 500, "from setUp")

    def get(self, *paths, options="-s"):
        urls = " ".join(f"'http://localhost:8080{p}'" for p in paths)
        return self.load_tool(shell(f"for u in {urls}; do curl {options} \"$u\"; echo; done; true"))

    def test_setup_answers(self):
        result = self.get("/health").execute()
        self.assertEqual(result.stdout, "from setUp\n")
        self.assertEqual((result.status, result.reason, result.unused_mocks), ("succeeded", "", []))
        request = self.assert_requested("get", "/health", "localhost", count=1, headers={"user-agent": "curl/*", "Accept": None}, port=8080)[0]
        self.assertEqual((request.status, request.url, request.header("ACCEPT")), (500, "http://localhost:8080/health", "*/*"))
        self.assertIn("mock_http_response('GET', '/health', 500) at test_runs.py:", request.mock)
        self.assertGreater(result.duration, 0)
        self.assertLess(result.duration, 120)
        self.assertGreater(result.usage.memory_peak_bytes, 0)
        self.assertTrue(all(c.mocked and c.allowed for c in result.connections))

    def test_the_last_registered_answers(self):
        self.mock_http_response("GET", "/health", 200, "from the test")
        self.mock_http_response(None, "/health", 200, "once", times=1)
        tool = self.get("/health", "/health")
        for _ in range(2):  # each run starts afresh
            result = tool.execute()
            self.assertEqual(result.stdout, "once\nfrom the test\n")
            self.assertEqual(len(result.requests), 2)
            self.assertEqual([m.split(" at ")[0] for m in result.unused_mocks], ["mock_http_response('GET', '/health', 500)"])

    def test_what_a_run_doesnt_see(self):
        self.get("/health").execute()
        self.mock_http_response("GET", "/health", 200, "later")
        self.assertEqual(self.get("/health").execute().stdout, "later\n")

    def test_bodies(self):
        long_text = "a,b:{c}\u2028\U0001f600[]" * 5000
        for body, sent, kind in [
            ({"a": [1, None, True, "\U0001f600\u2028\x7f"]}, None, "application/json"),
            ([], None, "application/json"),
            ("text\u0085\ufeff\ud7ff/\\", None, "text/plain; charset=utf-8"),
            (long_text, None, "text/plain; charset=utf-8"),
            ([{"n": n} for n in range(20000)], None, "application/json"),
            (b"\x00\xff\xfe", None, "application/octet-stream"),
            ("<a/>", {"Content-Type": "application/xml"}, "application/xml"),
        ]:
            with self.subTest(repr(body)[:40]):
                self.reset_mocks()
                self.mock_http_response("GET", "/body", 200, body, headers=sent)
                result = self.get("/body", options="-s -w '%{stderr}%{content_type}'").execute()
                self.assertEqual(result.stderr, kind)
                got = result.stdout_bytes[:-1]
                if isinstance(body, bytes):
                    self.assertEqual(got, body)
                elif isinstance(body, str):
                    self.assertEqual(got.decode(), body)
                else:
                    import json

                    self.assertEqual(json.loads(got), body)

    def test_headers_and_no_body(self):
        self.mock_http_response("GET", "/none", 204, headers={"X-One": "1", "Set-Cookie": ["a=1", "b=2"]})
        out = self.get("/none", options="-si").execute().stdout
        self.assertIn("204", out)
        self.assertEqual(re.findall("(?im)^set-cookie: (...)", out), ["a=1", "b=2"])

    def test_addresses(self):
        self.mock_http_response("GET", "https://*.example.com/v1/*?page=1", 200, "tls")
        self.mock_http_response("GET", re.compile("/USERS/\\d+", re.I), 200, "pattern")
        tool = self.load_tool(shell("curl -sS 'https://api.example.com/v1/a/b?page=1&more=2'; curl -sS http://www.example.com/users/17"))
        self.assertEqual(tool.execute().stdout, "tlspattern")
        self.assert_requested("GET", "https://api.example.com/v1/a/b?page=1", count=1)
        self.assert_requested(path="/v1/*", host="*.EXAMPLE.com", query={"page": "1", "more": None})
        self.assert_requested(path={"regex": r"/users/\d+"}, port=80)
        self.assert_not_requested(path="/v1/a")
        with self.assertRaises(ValueError):
            self.mock_http_response("GET", "health", 200)

    def test_everything_else_of_a_mock(self):
        self.mock_http("POST", "/in", request={"headers": {"X-Token": "s*"}, "json": {"name": "ann"}}, json=None, status=201)
        self.mock_http("GET", "/flaky", answers=[{"status": 503}, {"reset": True}, {"body": {"up": True}, "delay": 0.01}])
        self.mock_http(path_or_url="/slow", timeout=True)
        self.mock_http("GET", host="files.example.com", file="test_runs.py")
        self.mock_http("GET", "/delayed", delay=timedelta(milliseconds=300), body="at last")
        tool = self.load_tool(
            shell(
                """curl -s -w '%{http_code}\\n' -H 'X-Token: s3' -d '{"name": "ann", "age": 7}' http://a.example.com/in
                for i in 1 2 3; do curl -s -o /dev/null -w '%{http_code}\\n' http://a.example.com/flaky; done
                curl -s -m 0.5 http://a.example.com/slow; echo $?
                curl -s http://files.example.com/ | head -1
                curl -s -w '%{time_total}' http://a.example.com/delayed; true"""
            )
        )
        result = tool.execute()
        lines = result.stdout.splitlines()
        self.assertEqual(lines[:6], ["null201", "503", "000", "200", "28", '"""Real runs of small tools."""'])
        self.assertGreater(float(lines[6].replace("at last", "")), 0.29)
        post = self.assert_requested("POST", "/in", json={"name": "ann"}, body='{"name": "ann", "age": 7}')[0]
        self.assertEqual(post.json(), {"name": "ann", "age": 7})
        self.assert_requested("POST", body=re.compile(".*ann.*"))
        self.assert_requested("POST", body=b'{"name": "ann", "age": 7}')
        self.assert_requested("POST", body={"contains": ["ann", "age"], "not_contains": "bob"})

    def test_no_mock(self):
        tool = self.get("/helth", "/helth")
        with self.assertRaises(MockFailure) as caught:
            tool.execute()
        text = str(caught.exception)
        self.assertRegex(
            text,
            r"^GET http://localhost:8080/helth has no mock; the nearest, mock_http_response\('GET', '/health', 500\) at test_runs.py:\d+, differs in path: /health \(2 times\)\n",
        )
        self.assertEqual(text.count("the nearest"), 1)
        self.assertIn("    GET http://localhost:8080/helth -> no answer\n", text)
        self.assertIsInstance(caught.exception, self.failureException)
        self.assertEqual(len(caught.exception.result.requests), 2)
        result = tool.execute(check=False)
        self.assertEqual([f.kind for f in result.failures], ["unmatched_request"])
        self.assertEqual(result.requests[0].status, 0)
        self.assertIn("the nearest, mock_http_response(", result.requests[0].problem)

    def test_a_refused_host_is_noted(self):
        tool = self.load_tool(shell("curl -s http://other.invalid/health; curl -s http://localhost/x"))
        with self.assertRaisesRegex(MockFailure, r"note: the tool's own network refuses tcp other.invalid port 80"):
            tool.execute()

    def test_times_have_to_be_used(self):
        self.mock_http_response("GET", "/health", 200, times=3)
        with self.assertRaisesRegex(MockFailure, r"^mock_http_response\('GET', '/health', 200\) at test_runs.py:\d+ answered 1 of the 3 requests"):
            self.get("/health").execute()

    def test_assertions_fail(self):
        self.get("/health").execute()
        with self.assertRaisesRegex(AssertionError, r"requests POST /health: none came, want at least 1; the nearest, GET http://localhost:8080/health, differs in method: want POST\nshelled: succeeded\n  requests:"):
            self.assert_requested("POST", "/health")
        with self.assertRaisesRegex(AssertionError, r"requests /health: 1 came, want 2"):
            self.assert_requested(path="/health", count=2)
        with self.assertRaisesRegex(AssertionError, r"requests any: 1 came, want none"):
            self.assert_not_requested()
        for wrong, why in [
            ({"headers": {"X-No": None}}, "header X-No: it is missing"),
            ({"headers": {"Accept": "text/*"}}, r"header Accept: '\*/\*' does not match the glob"),
            ({"json": {}}, "json: the body isn't JSON"),
            ({"body": b"x"}, "body: b'' is not b'x'"),
            ({"port": 1}, "port: 8080 is not 1"),
            ({"host": "x"}, "host: 'localhost' is not 'x'"),
            ({"path": "https://localhost:8080/health"}, "scheme: want https"),
            ({"path": "/health?a=b"}, "query a: it is missing"),
        ]:
            with self.subTest(wrong), self.assertRaisesRegex(AssertionError, why):
                self.assert_requested(**wrong)
        with self.assertRaises(ValueError):
            self.assert_requested(path={"like": "x"})

    def test_allow_network(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"really")

            def log_message(self, *args):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        host = f"host.mayfly.internal:{server.server_port}"
        tool = self.load_tool(shell(f"curl -s http://{host}/", network={"egress": [{"host": "host.mayfly.internal"}]}))
        self.allow_network(host)
        result = tool.execute()
        self.assertEqual((result.stdout, result.requests), ("really", []))
        self.assertFalse(result.connections[0].mocked)


class TestRuns(ToolTest):
    def test_end(self):
        result = self.load_tool(shell("echo out; echo err >&2; echo TAG=v1 >> $MAYFLY_OUTPUT; exit 3", outputs=["TAG"])).execute()
        self.assertEqual((result.exit_code, result.status, result.reason), (3, "failed", "exit status 3"))
        self.assertEqual((result.stdout, result.stderr, result.outputs), ("out\n", "err\n", {"TAG": "v1"}))
        self.assert_output("TAG", "v1")
        self.assert_output("TAG", re.compile(r"v\d"))
        self.assert_output("TAG", {"contains": "v"})
        with self.assertRaisesRegex(AssertionError, "output TAG: 'v1' is not 'v2'"):
            self.assert_output("TAG", "v2")
        with self.assertRaisesRegex(AssertionError, "there is no output GAT; there are TAG"):
            self.assert_output("GAT", "v2")
        self.assertEqual(repr(result), "<Result of shelled: failed, exit status 3>")
        with self.assertRaisesRegex(AssertionError, "(?s)^3 != 0\nshelled: failed, exit status 3\n  stdout:\n    out\n  stderr:\n    err$"):
            self.assertEqual(result.exit_code, 0)

    def test_environment_inputs_secrets(self):
        tool = shell('echo "$A $B $C|$REGION|$COUNT|$TOKEN"; test "$TOKEN" = correct-horse', args=[{"name": "region", "required": True}, {"name": "count", "type": "integer"}])
        tool["environment"] = {"A": "old", "TOKEN": "/secrets/token"}
        self.mock_environment({"A": "lost", "B": True})
        self.mock_environment({"A": 7, "C": 'quo"te\U0001f600', "REGION": "eu"})
        self.mock_secret("token", "correct-horse")
        result = self.load_tool(tool).execute({"count": 3})
        self.assertEqual(result.stdout, '7 true quo"te\U0001f600|eu|3|***\n')
        self.assertEqual(result.exit_code, 0)
        with self.assertRaises(TypeError):
            self.mock_environment({"A": None})

    def test_timeout(self):
        tool = self.load_tool(shell("exec sleep 600"))
        result = tool.execute(timeout=0.5)
        self.assertEqual((result.status, result.exit_code), ("timed_out", 124))
        self.assertLess(result.duration, 120)

    def test_not_text(self):
        result = self.load_tool(shell(r"printf '\377\033[31mred'")).execute()
        self.assertEqual(result.stdout_bytes, b"\xff\x1b[31mred")
        self.assertEqual(result.stdout, "\ufffd\x1b[31mred")
        self.assertNotIn("\x1b", result.report())

    def test_commands(self):
        self.mock_command("kubectl", stderr="any\n", exit_code=9)
        self.mock_command("kubectl", ["get", "pods", "-n", "*"], stdout="pod-1\n")
        self.mock_command("kubectl", {"prefix": ["apply"]}, stdin={"contains": "kind: Pod"}, answers=[{"stderr": "busy\n", "exit_code": 1}, {"stdout": "applied\n", "delay": 0.01}])
        tool = self.load_tool(
            shell("kubectl get pods -n x; echo 'kind: Pod' | kubectl apply -f - ; echo 'kind: Pod' | kubectl apply -f -; kubectl delete 'a b'; echo $?")
        )
        result = tool.execute()
        self.assertEqual(result.stdout, "pod-1\napplied\n9\n")
        self.assertEqual(result.stderr, "busy\nany\n")
        self.assert_command_called("kubectl", count=4)
        calls = self.assert_command_called("kubectl", {"prefix": ["apply"]}, stdin="kind: Pod", count=2)
        self.assertEqual([(c.exit_code, c.stdin) for c in calls], [(1, "kind: Pod\n"), (0, "kind: Pod\n")])
        self.assert_command_called("kubectl", ["delete", "a b"])
        self.assert_command_not_called("kubectl", ["delete"])
        self.assert_command_not_called("git")
        with self.assertRaisesRegex(AssertionError, r"calls of kubectl args=\['get', 'pods'\]: none came, want at least 1; the nearest, kubectl get pods -n x, differs in args: word 3, '-n', is one too many"):
            self.assert_command_called("kubectl", ["get", "pods"])
        with self.assertRaisesRegex(TypeError, "write a list"):
            self.mock_command("kubectl", "get pods")

    def test_a_call_without_a_mock(self):
        self.mock_command("git", ["push"])
        with self.assertRaisesRegex(MockFailure, r"^git pull has no mock; the nearest, mock_command\('git', \['push'\]\) at test_runs.py:\d+, differs in args"):
            self.load_tool(shell("git pull; true")).execute()

    def test_errors(self):
        for register, why in [
            (lambda: self.mock_http_response("GET", "/x", 999), r"^mock_http_response\('GET', '/x', 999\) at test_runs.py:\d+: status .*999"),
            (lambda: self.mock_command("a/b"), r"^mock_command\('a/b'\) at test_runs.py:\d+: command .*is a path"),
            (lambda: self.mock_step("x"), None),
        ]:
            self.reset_mocks()
            register()
            if why is None:
                self.load_tool(shell("true")).execute()  # a tool has no steps, so the mock is ignored
            else:
                with self.assertRaisesRegex(ToolError, why):
                    self.load_tool(shell("true")).execute()
        self.reset_mocks()
        with self.assertRaisesRegex(ToolError, "tool nowhere is not found|tool \"nowhere\" is not found"):
            self.load_tool("nowhere").execute()
        with self.assertRaisesRegex(ToolError, "argument \"region\"|region"):
            self.load_tool(shell("true", args=[{"name": "region", "required": True}])).execute()
        with self.assertRaisesRegex(ToolError, "call execute"):
            self.assert_requested()

    def test_several_at_once(self):
        self.mock_http_response("GET", "/*", 200, "x")
        tools = [self.load_tool(shell(f"curl -s http://localhost/{n}")) for n in range(4)]
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda tool: tool.execute(), tools))
        self.assertEqual([[r.path for r in result.requests] for result in results], [["/0"], ["/1"], ["/2"], ["/3"]])


class TestWorkflow(ToolTest):
    def test_steps(self):
        self.mock_step("build", outputs={"TAG": "v1"}, stdout="built")
        self.mock_step("check", exit_code=1)
        self.mock_step("check", exit_code=3)  # the last one takes effect
        result = self.load_workflow("release").execute()
        self.assertEqual((result.status, result.name), ("failed", "release"))
        self.assertEqual((result.steps["build"].status, result.steps["build"].outputs), ("succeeded", {"TAG": "v1"}))
        self.assertEqual((result.steps["check"].status, result.steps["check"].exit_code), ("failed", 3))
        self.assertEqual(result.steps["deploy"].status, "skipped")
        self.assertEqual(result.stdout, "built\n")

    def test_real_steps(self):
        self.mock_step("build", outputs={"TAG": "v2"})
        self.mock_step("check")
        self.mock_http_response("POST", "/deploy", 200, "deployed\n")
        result = self.load_workflow("workflows/release.yaml").execute()
        self.assertEqual((result.status, result.stdout), ("succeeded", "deployed\n"))
        self.assert_requested("POST", "/deploy", body="v2")

    def test_wrong(self):
        with self.assertRaisesRegex(ToolError, "workflow nothing.yaml is not found"):
            self.load_workflow("nothing.yaml")
        self.mock_step("biuld")
        with self.assertRaisesRegex(ToolError, r"^mock_step\('biuld'\) at test_runs.py:\d+: the workflow has no step"):
            self.load_workflow("release").execute()


if __name__ == "__main__":
    unittest.main()
