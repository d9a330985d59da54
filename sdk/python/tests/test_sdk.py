"""Tests of what the SDK does around a run: how it finds tools, reads answers and ends, and of the example."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from unittest import mock

import tests
from kubiya import MayflyNotFoundError, MockFailure, ToolError, ToolTest
from kubiya import _command, _mocks

#: The common part of the fake mayfly's answers.
LINE = {
    "type": "test", "name": "x", "file": "<stdin>", "line": 1, "tool": "faked", "status": "passed", "failures": [], "duration_ms": 1,
    "result": {"status": "succeeded", "exit_code": 0, "reason": "", "outputs": None, "usage": {"cpu_seconds": 1, "novel": 2}, "duration_ms": 1500},
    "stdout": "", "stderr": "", "requests": [], "calls": [], "connections": [], "unused_mocks": [], "novel": {"key": 1},
}  # fmt: skip


class Case(ToolTest):
    """A test case with its own folder."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def write(self, name, text, mode=0o644):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        path.chmod(mode)
        return path

    def fake(self, script):
        """Replace mayfly with a shell script. The file $SENT has the standard input that the script gets."""
        path = self.write("mayfly", '#!/bin/sh\nSENT="$0.sent"; cat > "$SENT"; pwd > "$0.cwd"; echo "$@" > "$0.args"\n' + script, 0o755)
        patch = mock.patch.dict(os.environ, MAYFLY=str(path))
        patch.start()
        self.addCleanup(patch.stop)
        return path

    def fake_line(self, **changes):
        return self.fake("cat <<'LINE'\n" + json.dumps({**LINE, **changes}) + '\n{"type": "summary"}\nLINE\n')


class TestProtocol(Case):
    def test_what_is_sent(self):
        fake = self.fake_line()
        self.mock_environment({"A": "\u2028\U0001f600\x7f"})
        self.mock_http_response("GET", "/first", 200)
        self.mock_http_response("GET", "/second", 200, times=2, delay=0.0001)
        self.mock_command("git")
        self.mock_step("never-sent")
        self.load_tool({"image": "x"}).execute({"n": 1}, timeout=1.5)
        text = pathlib.Path(f"{fake}.sent").read_text()
        self.assertNotIn("\u2028", text)
        sent = json.loads(text)
        for one in sent["tests"][0]["http"] + sent["tests"][0]["commands"]:
            self.assertIn(" at test_sdk.py:", one.pop("name"))
        self.assertEqual(sent, {
            "tool": {"image": "x"},
            "tests": [{
                "name": self.id(), "environment": {"A": "\u2028\U0001f600\x7f"}, "inputs": {"n": 1}, "timeout": "1500ms", "expect": {"exit_code": "any"},
                "http": [{"path": "/second", "status": 200, "method": "GET", "times": 2, "delay": "1ms"}, {"path": "/first", "status": 200, "method": "GET"}],
                "commands": [{"command": "git"}],
            }],
        })  # fmt: skip
        self.assertEqual(pathlib.Path(f"{fake}.cwd").read_text().strip(), os.path.dirname(os.path.abspath(__file__)))
        self.assertEqual(pathlib.Path(f"{fake}.args").read_text(), "test --json -\n")

    def test_bodies_in_parts(self):
        fake = self.fake_line()
        parts = [{"body": "a"}, {"body": "b", "delay": 0.5}]
        self.mock_http("GET", "/events", chunks=parts, answers=[{"chunks": parts}])
        self.load_tool({"image": "x"}).execute()
        sent = json.loads(pathlib.Path(f"{fake}.sent").read_text())["tests"][0]["http"][0]
        self.assertEqual(sent["chunks"], [{"body": "a"}, {"body": "b", "delay": "500ms"}])
        self.assertEqual(sent["answers"], [{"chunks": sent["chunks"]}])

    def test_keys_that_come_later_and_keys_that_are_missing(self):
        self.fake_line(stdout="", stdout_base64="AP8=", requests=[{"method": "GET", "mock": "http[7]", "novel": 1}], calls=[{}], connections=[{"novel": 1}])
        result = self.load_tool({}).execute()
        self.assertEqual((result.stdout_bytes, result.outputs, result.usage.cpu_seconds, result.duration), (b"\x00\xff", {}, 1, 1.5))
        self.assertEqual((result.requests[0].mock, result.requests[0].headers, result.calls[0].args), ("http[7]", {}, []))
        self.assertEqual(result.raw["novel"], {"key": 1})

    def test_mocks_have_names_and_messages_are_left_alone(self):
        self.mock_http_response("GET", "/\u200b", 200)
        self.mock_command("git", ["pull"] * 300)
        failure = {"kind": "unmatched_request", "message": "GET http://a/http[0] has no mock; the nearest, http[0], differs in path: /"}
        fake = self.fake_line(status="failed", failures=[failure], notes=["mocks that answered nothing: http[0], commands[3]"])
        with self.assertRaises(MockFailure) as caught:
            self.load_tool({}).execute()
        self.assertTrue(str(caught.exception).startswith(failure["message"] + "\n"))
        self.assertIn("note: mocks that answered nothing: http[0], commands[3]", str(caught.exception))
        sent = json.loads(pathlib.Path(f"{fake}.sent").read_text())["tests"][0]
        self.assertRegex(sent["http"][0]["name"], r"^mock_http_response\('GET', '/.*', 200\) at test_sdk.py:\d+$")
        self.assertRegex(sent["commands"][0]["name"], r"^mock_command\('git', \['pull', .*… at test_sdk.py:\d+$|^mock_command\('git', .*\) at test_sdk.py:\d+$")

    def test_failure_exception(self):
        class Own(Exception):
            pass

        self.failureException = Own
        self.fake_line(status="failed", failures=[{"kind": "unmatched_command", "message": "git has no mock"}])
        try:
            with self.assertRaisesRegex(Own, "git has no mock"):
                self.load_tool({}).execute()
            with self.assertRaisesRegex(Own, "requests any: none came, want at least 1"):
                self.assert_requested()
        finally:
            del self.failureException

    def test_errors(self):
        self.fake_line(status="error", error="image x can't be pulled", code="image_not_found", result=None)
        with self.assertRaisesRegex(ToolError, "^image x can't be pulled$") as caught:
            self.load_tool({}).execute()
        self.assertEqual(caught.exception.code, "image_not_found")
        problems = [{"file": "<stdin>", "line": 1, "column": 5, "text": "unknown key", "hint": "leave it out"}, {"file": "a.yaml", "line": 2, "column": 3, "text": "x"}]
        line = json.dumps({"type": "error", "code": "invalid_definition", "error": "<stdin>:1:5: unknown key", "problems": problems, "exit_code": 125})
        self.fake(f"echo '{line}'; echo 'mayfly: <stdin>:1:5: unknown key' >&2; exit 125")
        with self.assertRaisesRegex(ToolError, r"^unknown key; leave it out\na.yaml:2:3: x$") as caught:
            self.load_tool({}).execute()
        self.assertEqual(caught.exception.code, "invalid_definition")
        self.fake("echo 'something broke' >&2; exit 2")
        with self.assertRaisesRegex(ToolError, "^something broke$"):
            self.load_tool({}).execute()
        self.fake("exit 3")
        with self.assertRaisesRegex(ToolError, "^mayfly test ended with status 3 and said nothing$"):
            self.load_tool({}).execute()

    def test_no_mayfly(self):
        tool = self.load_tool({})
        with mock.patch.dict(os.environ, PATH=str(self.dir)):
            with mock.patch.dict(os.environ, MAYFLY="/nowhere/mayfly"), self.assertRaisesRegex(MayflyNotFoundError, "MAYFLY is '/nowhere/mayfly'"):
                tool.execute()
            del os.environ["MAYFLY"]
            with self.assertRaisesRegex(ToolError, "make build.*MAYFLY=/path/to/mayfly"):
                tool.execute()
            self.write("mayfly", "#!/bin/sh\n", 0o755)
            self.assertEqual(_command.find(), str(self.dir / "mayfly"))

    def test_durations(self):
        import datetime

        for value, want in [(1, "1000ms"), (0.25, "250ms"), (0.0001, "1ms"), ("2m", "2m"), (datetime.timedelta(minutes=1), "60000ms")]:
            self.assertEqual(_mocks.duration(value), want)


class TestLoading(Case):
    def find(self, name):
        """Return what a test in the folder loads for a name: a path relative to the folder, or the name itself."""
        with mock.patch.object(ToolTest, "_folder", lambda _: str(self.dir)):
            subject = self.load_tool(name)._subject
        return os.path.relpath(subject, self.dir) if os.path.isabs(subject) else subject

    def test_names(self):
        self.assertEqual(self.find("checker"), "checker")  # for mayfly to find
        self.write("checker/tool.yaml", "image: x\n")
        self.assertEqual(self.find("checker"), "checker/tool.yaml")
        self.write("tool.yaml", "name: other # than that\nimage: x\n")
        self.assertEqual(self.find("checker"), "checker/tool.yaml")
        self.assertEqual(self.find("other"), "tool.yaml")
        self.write("tool.yaml", "image: x\nname: 'checker'\n")
        self.assertEqual(self.find("checker"), "tool.yaml")
        self.write("tool.yaml", "image: x\nscript: |\n  name: checker\n")
        self.assertEqual(self.find("checker"), "checker/tool.yaml")
        self.assertEqual(self.find(self.dir.name), "tool.yaml")

    def test_paths(self):
        self.write("a/tool.yaml", "")
        self.write("b.yaml", "")
        for path in ("a/tool.yaml", "./a", "a/", pathlib.Path("a"), self.dir / "a" / "tool.yaml"):
            self.assertEqual(self.find(path), "a/tool.yaml")
        self.assertEqual(self.find("b.yaml"), "b.yaml")
        for path in ("c.yaml", "a/b.yaml", pathlib.Path("c")):
            with self.assertRaisesRegex(ToolError, "is not found: there is no file .*; a path is relative to the folder of the test's file"):
                self.find(path)


class TestPrograms(Case):
    """Test files like those of users, run by the test runners."""

    def run_tests(self, *command, cwd=None, **env):
        env = {**os.environ, "PYTHONPATH": tests.SRC, "PYTHONDONTWRITEBYTECODE": "1", **env}
        return subprocess.run(command, cwd=cwd or self.dir, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)

    def quick_example(self):
        """Copy the example, with the timers of its script shortened to a fiftieth or less."""
        for name in os.listdir(tests.EXAMPLE):
            if name.endswith((".py", ".yaml")):
                shutil.copy(os.path.join(tests.EXAMPLE, name), self.dir)
        script = self.dir / "check_service_health.py"
        text = script.read_text()
        for old, new in (("time.sleep(10)", "time.sleep(0.2)"), ("timeout=300", "timeout=3")):
            self.assertEqual(text.count(old), 1)
            text = text.replace(old, new)
        script.write_text(text)

    def test_example_with_unittest(self):
        self.quick_example()
        done = self.run_tests(sys.executable, "-m", "unittest", "-v", "test_deployment_tool")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"test_healthy_service .* ok\ntest_unhealthy_service .* ok\n(?s:.*)Ran 2 tests")
        # MAYFLY is a relative path, and the working directory isn't the test's folder.
        done = self.run_tests(
            sys.executable, "-m", "unittest", "-k", "test_healthy", "test_deployment_tool", cwd=tests.ROOT,
            PYTHONPATH=os.pathsep.join([tests.SRC, str(self.dir)]), MAYFLY="bin/mayfly",
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_example_with_pytest(self):
        for python in (sys.executable, "/usr/bin/python3"):
            if os.path.exists(python) and subprocess.run([python, "-c", "import pytest"], stderr=subprocess.DEVNULL).returncode == 0:
                break
        else:
            self.fail("pytest is missing; test/setup.sh installs it")
        self.quick_example()
        done = self.run_tests(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_deployment_tool.py")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("2 passed", done.stdout)

    def test_a_failure_is_explained(self):
        self.quick_example()
        self.write("test_wrong.py", """
            import unittest
            from kubiya import ToolTest

            class TestWrong(ToolTest):
                def test_it(self):
                    self.mock_environment({"SERVICE_URL": "http://localhost:8080"})
                    self.mock_http_response("GET", "/health", 503)
                    result = self.load_tool("deployment-checker").execute()
                    self.assertEqual(result.exit_code, 0)

            if __name__ == "__main__":
                unittest.main()
        """)  # fmt: skip
        done = self.run_tests(sys.executable, "test_wrong.py")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"AssertionError: 1 != 0\ndeployment-checker: failed, exit status 1\n  requests:\n    GET http://localhost:8080/health -> 503 from mock_http_response\('GET', '/health', 503\) at test_wrong.py:8\n")
        self.assertIn("  stdout:\n    ❌ Service failed health check\n", done.stdout)
        self.assertNotIn("kubiya/", done.stdout)  # no frames of the SDK

    def test_interrupted(self):
        """An interrupted test ends soon, and its sandbox has ended by then."""
        self.write("test_long.py", """
            from kubiya import ToolTest

            class TestLong(ToolTest):
                def test_it(self):
                    self.mock_http_response("GET", "/started", 200)
                    print("running", flush=True)
                    self.load_tool({"image": "mayfly/shell", "command": "curl -s http://localhost/started; exec sleep 654.321"}).execute()
        """)  # fmt: skip
        env = {**os.environ, "PYTHONPATH": tests.SRC}
        for group in (False, True):  # a kill, and a Ctrl-C, which goes to mayfly too
            with self.subTest(group=group):
                process = subprocess.Popen(
                    [sys.executable, "-m", "unittest", "test_long"], cwd=self.dir, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell starts background jobs with SIGINT ignored
                )  # fmt: skip
                try:
                    self.assertEqual(process.stdout.readline(), "running\n")
                    self.wait_for(lambda: sleeping("654.321"))
                    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
                    out, _ = process.communicate(timeout=120)  # the sleep takes longer
                    self.assertFalse(sleeping("654.321"))
                    self.assertIn("KeyboardInterrupt", out)
                finally:
                    if process.poll() is None:  # end it and mayfly, which is in its group
                        os.killpg(process.pid, signal.SIGTERM)
                        process.communicate()

    def wait_for(self, condition):
        for _ in range(2400):
            if condition():
                return
            time.sleep(0.05)
        self.fail("the condition isn't met within two minutes")

    def test_nothing_is_left(self):
        temporary = self.dir / "tmp"
        temporary.mkdir()
        self.write("test_files.py", """
            from kubiya import ToolTest

            class TestFiles(ToolTest):
                def test_it(self):
                    self.mock_http_response("GET", "/", 200, bytes(range(256)) * 1000)
                    self.load_tool({"image": "mayfly/shell", "command": "curl -s http://localhost/"}).execute()
        """)  # fmt: skip
        done = self.run_tests(sys.executable, "-m", "unittest", "test_files", TMPDIR=str(temporary))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(sorted(os.listdir(self.dir)), ["test_files.py", "tmp"])
        self.assertEqual(os.listdir(temporary), [])


def sleeping(seconds):
    """Report whether a process of any sandbox sleeps for this time."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read() == b"sleep\0" + seconds.encode() + b"\0":
                    return True
        except OSError:
            pass
    return False


if __name__ == "__main__":
    unittest.main()
