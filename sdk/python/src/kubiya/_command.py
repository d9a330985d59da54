"""Runs of the mayfly command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type, Union

from ._errors import MayflyNotFoundError, ToolError
from ._mocks import Duration, Mock, World, duration
from ._result import Result

__unittest = True

#: The tool or workflow under test: a name or path, or a tool's definition.
Subject = Union[str, Mapping[str, Any]]

# Characters that JSON allows unescaped and YAML doesn't: line breaks, control characters and noncharacters.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")

# mayfly's name for the file that it reads from standard input.
_SENT = "<stdin>"


def find() -> str:
    """Return the path of mayfly: $MAYFLY, or the one in PATH."""
    given = os.environ.get("MAYFLY")
    found = shutil.which(given or "mayfly")
    if found is not None:
        return os.path.abspath(found)
    if given:
        raise MayflyNotFoundError(f"MAYFLY is {given!r}, which is not a program that can be run")
    raise MayflyNotFoundError(
        "the mayfly command is not found in PATH, and the environment variable MAYFLY doesn't name it. Install all "
        "programs that `make build` leaves in bin of Mayfly's source into one folder of PATH; or set MAYFLY=/path/to/mayfly"
    )


def run(
    kind: str,
    subject: Subject,
    folder: str,
    name: str,
    world: World,
    inputs: Optional[Mapping[str, Any]],
    timeout: Optional[Duration],
    failure: Type[BaseException],
) -> Tuple[str, Result]:
    """Run one test and return its status, passed or failed, and its result. kind is tool or workflow."""
    test: Dict[str, Any] = {"name": _test_name(name), "expect": {"exit_code": "any"}}
    if world.environment:
        test["environment"] = world.environment
    if inputs:
        test["inputs"] = dict(inputs)
    if world.secrets:
        test["secrets"] = world.secrets
    if world.allow_network:
        test["allow_network"] = world.allow_network
    if timeout is not None:
        test["timeout"] = duration(timeout)
    # The latest comes first, since in a file the first mock that matches answers.
    http, commands = world.http[::-1], world.commands[::-1]
    suite = _Suite(kind, subject, test)
    suite.mocks("http", http)
    suite.mocks("commands", commands)
    if kind == "workflow":
        suite.steps(world.steps)
    text = suite.finish()
    status, out, err = _execute(text.encode(), folder)
    for line in out.splitlines():
        data = json.loads(line)
        if data.get("type") == "error" or data.get("type") == "test" and data.get("status") == "error":
            raise ToolError(suite.located(data) or "the run couldn't be made", data.get("code") or "")
        if data.get("type") == "test":
            return data["status"], Result.from_json(data, failure)
    said = err.decode(errors="replace").strip()
    raise ToolError(said or f"mayfly test ended with status {status} and said nothing")


class _Suite:
    """The text of a file with one test. Each mock has its own line, so that the line of an error leads back to the mock."""

    def __init__(self, kind: str, subject: Subject, test: Dict[str, Any]) -> None:
        self.lines = [f"{{{_dumps(kind)}: {_dumps(subject)}, "]
        self.lines.append(f'"tests": [{_dumps(test)[:-1]}')
        self.owners: Dict[int, str] = {}

    def mocks(self, key: str, mocks: List[Mock]) -> None:
        if not mocks:
            return
        self.lines.append(f", {_dumps(key)}: [")
        for i, mock in enumerate(mocks):
            self.lines.append(_dumps({"name": _line(mock.label, 500), **mock.definition}) + ("," if i + 1 < len(mocks) else "]"))
            self.owners[len(self.lines)] = mock.label

    def steps(self, steps: Mapping[str, Mock]) -> None:
        if not steps:
            return
        self.lines.append(', "steps": {')
        for i, (name, mock) in enumerate(steps.items()):
            self.lines.append(f"{_dumps(name)}: {_dumps(mock.definition)}" + ("," if i + 1 < len(steps) else "}"))
            self.owners[len(self.lines)] = mock.label

    def finish(self) -> str:
        return "\n".join(self.lines) + "}]}\n"

    def located(self, data: Mapping[str, Any]) -> str:
        """Return the text of an error. It names the mocks in place of the lines of the generated file, which nobody has seen."""
        problems = data.get("problems") or []
        if not any(problem.get("file") == _SENT for problem in problems):
            return data.get("error") or ""
        return "\n".join(self._problem(problem) for problem in problems)

    def _problem(self, problem: Mapping[str, Any]) -> str:
        file, line = problem.get("file", ""), problem.get("line", 0)
        at = self.owners.get(line, "") if file == _SENT else f"{file}:{line}:{problem.get('column', 0)}"
        text = problem.get("text", "") + (f"; {problem['hint']}" if problem.get("hint") else "")
        return f"{at}: {text}" if at else text


def _dumps(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _UNPRINTABLE.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def _test_name(name: str) -> str:
    return _line(name, 150) or "test"


def _line(text: str, most: int) -> str:
    """Return a text as a name that mayfly accepts: the first most characters, on one line."""
    return "".join(c if c.isprintable() else "?" for c in text)[:most].strip()


def _execute(text: bytes, folder: str) -> Tuple[int, bytes, bytes]:
    mayfly = find()
    env = dict(os.environ)
    for key in ("MAYFLY_HOME", "MAYFLY_POLICY"):
        if env.get(key):
            env[key] = os.path.abspath(env[key])  # mayfly runs in the test's folder
    process = subprocess.Popen(
        [mayfly, "test", "--json", "-"],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = process.communicate(text)
    except BaseException:
        _end(process)
        raise
    return process.returncode, out, err


def _end(process: subprocess.Popen[bytes]) -> None:
    """End mayfly, which ends the sandbox, and wait for it. A second interruption ends it sooner, and a third immediately."""
    for attempt in range(3):
        try:
            process.send_signal(signal.SIGINT)
            process.communicate()
            return
        except KeyboardInterrupt:
            if attempt == 2:
                process.kill()
                process.wait()
