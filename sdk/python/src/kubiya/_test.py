"""The test case."""

from __future__ import annotations

import os
import re
import sys
import unittest
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from . import _command, _mocks
from ._errors import MockFailure, ToolError
from ._match import ArgsMatch, TextMatch, args_to_yaml, to_yaml
from ._mocks import UNSET, Body, Duration, Mock, World, describe
from ._result import Call, Request, Result

__unittest = True


class Tool:
    """A tool or workflow under test, which :meth:`ToolTest.load_tool` or :meth:`ToolTest.load_workflow` returns."""

    def __init__(self, test: ToolTest, kind: str, subject: _command.Subject, folder: str) -> None:
        self._test = test
        self._kind = kind
        self._subject = subject
        self._folder = folder

    def __repr__(self) -> str:
        return f"<{self._kind} {self._subject if isinstance(self._subject, str) else 'of the test'}>"

    def execute(self, inputs: Optional[Mapping[str, Any]] = None, timeout: Optional[Duration] = None, *, check: bool = True) -> Result:
        """Run the tool in its sandbox, with the mocks and values that the test has registered so far, and return the result.

        inputs are the values of its args; the environment variable of an arg sets that arg too. timeout, in seconds,
        replaces the tool's own. Each run starts afresh: sequences of answers with the first one, and counts with 0.

        A request or call that no mock answers fails the test, and so does a mock that answered less often than its ``times``.
        With check=False these are only in ``result.failures``. If the run is impossible, :class:`ToolError` is raised.
        """
        __tracebackhide__ = True
        test = self._test
        status, result = _command.run(self._kind, self._subject, self._folder, test.id(), test._world, inputs, timeout, test.failureException)
        test._last = result
        if check and status != "passed":
            text = "\n".join(dict.fromkeys(f.message for f in result.failures)) + "\n" + result.report()
            if issubclass(MockFailure, test.failureException):
                raise MockFailure(text, result)
            raise test.failureException(text)
        return result


class ToolTest(unittest.TestCase):
    """A test case whose tools run in their real sandboxes, with mocks in place of the network and of commands.

    Mocks and values that setUp or a test registers apply to that test only. If several mocks match, the one registered last
    answers, so a test's own mocks come before those of setUp. A mock with ``times`` answers that many times, and after that
    the mocks registered before it.
    """

    def __init__(self, methodName: str = "runTest") -> None:  # noqa: N803 - unittest's own name
        super().__init__(methodName)
        self._world = World()
        self._last: Optional[Result] = None

    def run(self, result: Optional[unittest.TestResult] = None) -> Optional[unittest.TestResult]:
        """Run the test, without any mocks at its start."""
        self.reset_mocks()
        return super().run(result)

    # The tool or workflow under test.

    def load_tool(self, name_or_path: Union[str, os.PathLike[str], Mapping[str, Any]]) -> Tool:
        """Return the tool under test.

        A path is relative to the folder of the test's file. A name is that of tool.yaml beside the test, or of NAME/tool.yaml
        beside it, otherwise of tools/NAME/tool.yaml or tools/NAME.yaml there or in a folder above, as for ``mayfly run NAME``.
        A mapping is the definition itself. A path without a file raises :class:`ToolError`.
        """
        folder = self._folder()
        if isinstance(name_or_path, Mapping):
            return Tool(self, "tool", dict(name_or_path), folder)
        return Tool(self, "tool", _find_tool(folder, name_or_path), folder)

    def load_workflow(self, name_or_path: Union[str, os.PathLike[str]]) -> Tool:
        """Return the workflow under test.

        A path is relative to the folder of the test's file. A name is that of NAME.yaml or workflows/NAME.yaml there. A path
        without a file raises :class:`ToolError`.
        """
        folder = self._folder()
        subject = os.fspath(name_or_path)
        if isinstance(name_or_path, os.PathLike) or _is_path(subject):
            subject = _file(folder, subject, "workflow", "workflow.yaml")
        return Tool(self, "workflow", subject, folder)

    # Its environment, secrets and mocks.

    def mock_environment(self, variables: Mapping[str, Any]) -> None:
        """Set environment variables, and override the tool's own. The variable of an arg sets that arg."""
        self._world.environment.update({name: _mocks.text(value, f"variable {name}") for name, value in variables.items()})

    def mock_secret(self, name: str, value: str) -> None:
        """Set the value of a secret, in place of this machine's."""
        self._world.secrets[name] = _mocks.text(value, f"secret {name}")

    def mock_http_response(
        self,
        method: Optional[str],
        path_or_url: TextMatch,
        status: int = 200,
        body: Body = None,
        headers: Optional[Mapping[str, Union[str, Sequence[str]]]] = None,
        times: Optional[int] = None,
        delay: Optional[Duration] = None,
    ) -> None:
        """Answer requests with a status, a body and headers.

        path_or_url is a path, for any host and port, or a whole URL; a * stands for any characters, including /. If method is
        None, any method matches. body is a text, bytes, or a value that is sent as JSON. times is how many requests are
        answered, and must be answered. delay is in seconds.
        """
        key, value = _mocks.address(path_or_url)
        definition: Dict[str, Any] = {key: value, **_mocks.answer(status, headers, body, delay=delay)}
        if method is not None:
            definition["method"] = method
        if times is not None:
            definition["times"] = times
        self._world.http.append(Mock(definition, describe("mock_http_response", method, path_or_url, status)))

    def mock_http(
        self,
        method: Optional[str] = None,
        path_or_url: Optional[TextMatch] = None,
        *,
        host: Optional[TextMatch] = None,
        port: Optional[int] = None,
        query: Optional[Mapping[str, Optional[TextMatch]]] = None,
        request: Optional[Mapping[str, Any]] = None,
        status: Optional[int] = None,
        headers: Optional[Mapping[str, Union[str, Sequence[str]]]] = None,
        body: Body = None,
        json: Any = UNSET,  # noqa: A002 - the format's own name
        file: Optional[str] = None,
        delay: Optional[Duration] = None,
        reset: bool = False,
        timeout: bool = False,
        times: Optional[int] = None,
        answers: Optional[Sequence[Mapping[str, Any]]] = None,
        chunks: Optional[Sequence[Mapping[str, Any]]] = None,
    ) -> None:
        """Answer requests, with everything that docs/TESTING.md describes for a mock.

        request is what a request must have: ``{"headers": {...}, "json": ..., "body": ...}``. file is the path of a file in
        the test's folder. chunks are the parts of a body, sent one after the other; each is a mapping of body and delay. reset
        resets the connection, and timeout never answers. answers are given one after the other, and then the last one again
        and again; each is a mapping of status, headers, body, json, file, chunks, delay, reset and timeout.
        """
        definition: Dict[str, Any] = {}
        if method is not None:
            definition["method"] = method
        if path_or_url is not None:
            key, value = _mocks.address(path_or_url)
            definition[key] = value
        if host is not None:
            definition["host"] = to_yaml(host)
        if port is not None:
            definition["port"] = port
        if query:
            definition["query"] = _texts(query)
        if request:
            wanted = dict(request)
            if wanted.get("headers"):
                wanted["headers"] = _texts(wanted["headers"])
            if "body" in wanted:
                wanted["body"] = to_yaml(wanted["body"])
            definition["request"] = wanted
        definition.update(_mocks.answer(status, headers, body, json, file, delay, reset, timeout, chunks))
        if answers is not None:
            definition["answers"] = [_mocks.answer(**one) for one in answers]
        if times is not None:
            definition["times"] = times
        self._world.http.append(Mock(definition, describe("mock_http", method, path_or_url)))

    def mock_command(
        self,
        command: str,
        args: Optional[ArgsMatch] = None,
        stdout: Optional[str] = None,
        stderr: Optional[str] = None,
        exit_code: Optional[int] = None,
        stdin: Optional[TextMatch] = None,
        times: Optional[int] = None,
        delay: Optional[Duration] = None,
        answers: Optional[Sequence[Mapping[str, Any]]] = None,
    ) -> None:
        """Answer calls of a command, which comes first in PATH.

        args are all of the arguments, or ``{"prefix": [...]}``; a * stands for any characters. If args is None, any arguments
        match. stdin is the standard input that the call must have. answers are given one after the other, and then the last one
        again and again; each is a mapping of stdout, stderr, exit_code and delay.
        """
        definition: Dict[str, Any] = {"command": command}
        if args is not None:
            definition["args"] = args_to_yaml(args)
        if stdin is not None:
            definition["stdin"] = to_yaml(stdin)
        definition.update(_command_answer(stdout, stderr, exit_code, delay))
        if answers is not None:
            definition["answers"] = [_command_answer(**one) for one in answers]
        if times is not None:
            definition["times"] = times
        self._world.commands.append(Mock(definition, describe("mock_command", command, args)))

    def mock_step(
        self,
        name: str,
        outputs: Optional[Mapping[str, Any]] = None,
        exit_code: Optional[int] = None,
        status: Optional[str] = None,
        stdout: Optional[str] = None,
    ) -> None:
        """Replace a step of a workflow: it doesn't run, but ends like this.

        It ends as succeeded, unless exit_code or status says otherwise.
        """
        definition: Dict[str, Any] = {}
        if outputs:
            definition["outputs"] = {key: _mocks.text(value, f"output {key}") for key, value in outputs.items()}
        for key, value in (("exit_code", exit_code), ("status", status), ("stdout", stdout)):
            if value is not None:
                definition[key] = value
        self._world.steps[name] = Mock(definition, describe("mock_step", name))

    def allow_network(self, *hosts: Union[str, Mapping[str, Any]]) -> None:
        """Let the tool really reach hosts, if its own network allows them: api.example.com, api.example.com:443, or egress rules."""
        self._world.allow_network.extend(h if isinstance(h, str) else dict(h) for h in hosts)

    def reset_mocks(self) -> None:
        """Remove everything that was registered."""
        self._world = World()
        self._last = None

    # The last run.

    @property
    def last_result(self) -> Result:
        """The result of the test's last run. Before the first run it raises :class:`ToolError`."""
        if self._last is None:
            raise ToolError("nothing has run in this test: call execute() first")
        return self._last

    def assert_requested(
        self,
        method: Optional[str] = None,
        path: Optional[TextMatch] = None,
        host: Optional[TextMatch] = None,
        count: Optional[int] = None,
        headers: Optional[Mapping[str, Optional[TextMatch]]] = None,
        json: Any = None,  # noqa: A002
        body: Optional[Union[TextMatch, bytes]] = None,
        *,
        port: Optional[int] = None,
        query: Optional[Mapping[str, Optional[TextMatch]]] = None,
    ) -> List[Request]:
        """:meth:`Result.assert_requested` of the last run."""
        __tracebackhide__ = True
        return self.last_result.assert_requested(method, path, host, count, headers, json, body, port=port, query=query)

    def assert_not_requested(
        self,
        method: Optional[str] = None,
        path: Optional[TextMatch] = None,
        host: Optional[TextMatch] = None,
        headers: Optional[Mapping[str, Optional[TextMatch]]] = None,
        json: Any = None,  # noqa: A002
        body: Optional[Union[TextMatch, bytes]] = None,
        *,
        port: Optional[int] = None,
        query: Optional[Mapping[str, Optional[TextMatch]]] = None,
    ) -> None:
        """:meth:`Result.assert_not_requested` of the last run."""
        __tracebackhide__ = True
        self.last_result.assert_not_requested(method, path, host, headers, json, body, port=port, query=query)

    def assert_command_called(
        self, command: str, args: Optional[ArgsMatch] = None, stdin: Optional[TextMatch] = None, count: Optional[int] = None
    ) -> List[Call]:
        """:meth:`Result.assert_command_called` of the last run."""
        __tracebackhide__ = True
        return self.last_result.assert_command_called(command, args, stdin, count)

    def assert_command_not_called(self, command: str, args: Optional[ArgsMatch] = None, stdin: Optional[TextMatch] = None) -> None:
        """:meth:`Result.assert_command_not_called` of the last run."""
        __tracebackhide__ = True
        self.last_result.assert_command_not_called(command, args, stdin)

    def assert_output(self, name: str, value: TextMatch) -> None:
        """:meth:`Result.assert_output` of the last run."""
        __tracebackhide__ = True
        self.last_result.assert_output(name, value)

    def _formatMessage(self, msg: Optional[str], standardMsg: str) -> str:  # noqa: N802, N803 - unittest's own names
        # "1 != 0" alone doesn't explain a failure, so the message has the report of the last run too.
        text: str = super()._formatMessage(msg, standardMsg)
        return text if self._last is None else f"{text}\n{self._last.report()}"

    def _folder(self) -> str:
        """Return the folder of the test's file, which all paths are relative to."""
        cls = type(self)
        module = sys.modules.get(cls.__module__)
        file: Optional[str] = getattr(module, "__file__", None)
        if file is None:
            method: Optional[Callable[..., Any]] = getattr(cls, self._testMethodName, None)
            file = getattr(getattr(method, "__code__", None), "co_filename", None)
        return os.path.dirname(os.path.abspath(file)) if file and os.path.isfile(file) else os.getcwd()


def _texts(values: Mapping[str, Optional[TextMatch]]) -> Dict[str, Any]:
    return {name: None if value is None else to_yaml(value) for name, value in values.items()}


def _command_answer(
    stdout: Optional[str] = None, stderr: Optional[str] = None, exit_code: Optional[int] = None, delay: Optional[Duration] = None
) -> Dict[str, Any]:
    out: Dict[str, Any] = {}
    for key, value in (("stdout", stdout), ("stderr", stderr), ("exit_code", exit_code)):
        if value is not None:
            out[key] = value
    if delay is not None:
        out["delay"] = _mocks.duration(delay)
    return out


def _is_path(text: str) -> bool:
    """Report whether a text is a path and not a name, as mayfly decides it."""
    return "/" in text or "\\" in text or text.endswith((".yaml", ".yml"))


def _file(folder: str, path: str, what: str, inside: str) -> str:
    file = os.path.join(folder, path)
    if os.path.isdir(file):
        file = os.path.join(file, inside)
    if not os.path.isfile(file):
        raise ToolError(f"{what} {path} is not found: there is no file {file}; a path is relative to the folder of the test's file")
    return os.path.abspath(file)


def _find_tool(folder: str, name_or_path: Union[str, os.PathLike[str]]) -> str:
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, os.PathLike) or _is_path(name):
        return _file(folder, name, "tool", "tool.yaml")
    beside = os.path.join(folder, "tool.yaml")
    if os.path.isfile(beside) and _name_of(beside) == name:
        return beside
    below = os.path.join(folder, name, "tool.yaml")
    if os.path.isfile(below):
        return below
    return name  # mayfly searches for it, and its error says where it searched


_NAME = re.compile(r"""^name:[ \t]+(["']?)([A-Za-z0-9_.-]+)\1[ \t]*(?:#.*)?$""", re.M)


def _name_of(file: str) -> str:
    """Return the name of the tool in a file tool.yaml: its own, or that of its folder."""
    with open(file, encoding="utf-8", errors="replace") as f:
        found = _NAME.search(f.read(1 << 20))
    return found[2] if found else os.path.basename(os.path.dirname(file))
