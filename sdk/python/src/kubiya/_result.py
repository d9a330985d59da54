"""The result of a run."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union
from urllib.parse import parse_qs, unquote, urlsplit

from ._match import ArgsMatch, TextMatch, args_mismatch, json_mismatch, mismatch, values_mismatch

__unittest = True


def _bytes(data: Mapping[str, Any], key: str) -> bytes:
    encoded = data.get(key + "_base64")
    if encoded is not None:
        return base64.b64decode(encoded)
    text: str = data.get(key) or ""
    return text.encode()


@dataclass(frozen=True)
class Request:
    """One request of the tool."""

    method: str
    url: str
    host: str
    port: int
    #: The decoded path, without the query.
    path: str
    query: Dict[str, List[str]]
    headers: Dict[str, List[str]]
    #: The first 1 MiB of the body, decoded if it came compressed with gzip.
    body: bytes
    body_size: int
    body_truncated: bool
    protocol: str
    #: The name of the mock that answered, and the status that it sent. If none answered, they are "" and 0, and problem says why.
    mock: str
    status: int
    problem: str
    #: The number of the request, from 1, and the time when it came (RFC 3339).
    seq: int
    time: str

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Return the value of the body. If it isn't JSON, ValueError is raised."""
        return json.loads(self.body)

    def header(self, name: str) -> Optional[str]:
        """Return the first value of a header, or None. The case of the name makes no difference."""
        for key, values in self.headers.items():
            if key.lower() == name.lower() and values:
                return values[0]
        return None

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


@dataclass(frozen=True)
class Call:
    """One call of a mocked command."""

    command: str
    args: List[str]
    #: The first 1 MiB of the standard input.
    stdin_bytes: bytes
    stdin_size: int
    exit_code: int
    #: The name of the mock that answered. If none answered, it is "", and problem says why.
    mock: str
    problem: str
    seq: int
    time: str

    @property
    def stdin(self) -> str:
        """The standard input as text."""
        return self.stdin_bytes.decode(errors="replace")

    def __str__(self) -> str:
        return " ".join([self.command, *(a if a.isprintable() and a and " " not in a else repr(a) for a in self.args)])


@dataclass(frozen=True)
class Connection:
    """One decision of the network policy."""

    host: str
    address: str
    port: int
    protocol: str
    allowed: bool
    rule: str
    reason: str
    #: The egress rule that would allow the connection.
    suggest: str
    #: Whether mocks answered, so that nothing left the machine.
    mocked: bool
    rx_bytes: int
    tx_bytes: int


@dataclass(frozen=True)
class Usage:
    """What the run used."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    pids: int = 0
    disk_bytes: int = 0
    network_rx_bytes: int = 0
    network_tx_bytes: int = 0


@dataclass(frozen=True)
class Step:
    """How a step of a workflow ended."""

    status: str
    exit_code: int
    outputs: Dict[str, str]
    reason: str
    code: str = ""


@dataclass(frozen=True)
class Failure:
    """A difference from the mocks. kind is unmatched_request, unmatched_command or unused_mock."""

    kind: str
    message: str


@dataclass(frozen=True, repr=False)
class Result:
    """How a run ended, and what it did."""

    #: The name of the tool or workflow.
    name: str
    #: succeeded, failed, timed_out, out_of_memory, denied…
    status: str
    #: The tool's own exit status; 124 if it timed out, 128+n if signal n killed it.
    exit_code: int
    #: Why the run failed, for people; "" for a success.
    reason: str
    #: Why the run failed, for programs: timed_out, tool_failed…, as docs/TOOL-FORMAT.md lists it; "" for a success.
    code: str
    #: What the tool printed, with secrets masked: the first 8 MiB of each.
    stdout_bytes: bytes
    stderr_bytes: bytes
    stdout_truncated: bool
    stderr_truncated: bool
    outputs: Dict[str, str]
    #: In seconds.
    duration: float
    usage: Usage
    requests: List[Request]
    calls: List[Call]
    connections: List[Connection]
    #: The names of the mocks that answered nothing.
    unused_mocks: List[str]
    #: The steps of a workflow, by their names.
    steps: Dict[str, Step]
    #: The differences from the mocks. If there are any, execute() raises MockFailure, unless it was called with check=False.
    failures: List[Failure]
    #: Notes that may explain a failure.
    notes: List[str]
    #: The line of JSON that the other fields are from (docs/TESTING.md).
    raw: Dict[str, Any]
    _failure: Type[BaseException] = field(default=AssertionError)

    @classmethod
    def from_json(cls, data: Dict[str, Any], failure: Type[BaseException] = AssertionError) -> Result:
        """Read a line of ``mayfly test --json``."""
        run = data.get("result") or {}
        usage = run.get("usage") or {}
        return cls(
            name=data.get("tool") or data.get("workflow") or "",
            status=run.get("status", ""),
            exit_code=run.get("exit_code", 0),
            reason=run.get("reason") or "",
            code=run.get("code") or "",
            stdout_bytes=_bytes(data, "stdout"),
            stderr_bytes=_bytes(data, "stderr"),
            stdout_truncated=bool(data.get("stdout_truncated")),
            stderr_truncated=bool(data.get("stderr_truncated")),
            outputs=dict(run.get("outputs") or {}),
            duration=run.get("duration_ms", 0) / 1000,
            usage=Usage(**{key: usage[key] for key in Usage.__dataclass_fields__ if key in usage}),
            requests=[_request(r) for r in data.get("requests") or []],
            calls=[_call(c) for c in data.get("calls") or []],
            connections=[_connection(c) for c in data.get("connections") or []],
            unused_mocks=list(data.get("unused_mocks") or []),
            steps={
                name: Step(s.get("status", ""), s.get("exit_code", 0), dict(s.get("outputs") or {}), s.get("reason") or "", s.get("code") or "")
                for name, s in (data.get("steps") or {}).items()
            },
            failures=[Failure(f.get("kind", ""), f.get("message", "")) for f in data.get("failures") or []],
            notes=list(data.get("notes") or []),
            raw=data,
            _failure=failure,
        )

    @property
    def stdout(self) -> str:
        """What the tool printed, as text."""
        return self.stdout_bytes.decode(errors="replace")

    @property
    def stderr(self) -> str:
        """What the tool printed to standard error, as text."""
        return self.stderr_bytes.decode(errors="replace")

    def __repr__(self) -> str:
        return f"<Result of {self.name}: {self.status}, exit status {self.exit_code}>"

    def assert_requested(
        self,
        method: Optional[str] = None,
        path: Optional[TextMatch] = None,
        host: Optional[TextMatch] = None,
        count: Optional[int] = None,
        headers: Optional[Mapping[str, Optional[TextMatch]]] = None,
        json: Any = None,  # noqa: A002 - the format's own name
        body: Optional[Union[TextMatch, bytes]] = None,
        *,
        port: Optional[int] = None,
        query: Optional[Mapping[str, Optional[TextMatch]]] = None,
    ) -> List[Request]:
        """Fail unless the tool made exactly count such requests, or at least one if count is None. Return them.

        path may be a whole URL, and may have a query; a * stands for any characters. A request may have more headers and query
        parameters than given here; a value of None matches any value. json is compared with the body, whose objects may have
        more keys. body is the whole body.
        """
        __tracebackhide__ = True
        matching: List[Request] = []
        nearest: Optional[Tuple[Request, List[str]]] = None
        for request in self.requests:
            differences = _differences(request, method, path, host, headers, json, body, port, query)
            if not differences:
                matching.append(request)
            elif nearest is None or len(differences) < len(nearest[1]):
                nearest = request, differences
        if len(matching) == count or count is None and matching:
            return matching
        given = {"host": host, "port": port, "query": query, "headers": headers, "json": json, "body": body}
        parts = [method or "", path if isinstance(path, str) else "" if path is None else f"path={path!r}"]
        parts += [f"{key}={value!r}" for key, value in given.items() if value is not None]
        wanted = " ".join(part for part in parts if part) or "any"
        text = f"requests {wanted}: {_came(len(matching))}, want {_count(count)}"
        if not matching and nearest is not None:
            text += f"; the nearest, {nearest[0]}, differs in " + " and ".join(nearest[1])
        raise self._failure(text + "\n" + self.report())

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
        """Fail if the tool made such a request. Without arguments, fail if it made any request."""
        __tracebackhide__ = True
        self.assert_requested(method, path, host, 0, headers, json, body, port=port, query=query)

    def assert_command_called(
        self,
        command: str,
        args: Optional[ArgsMatch] = None,
        stdin: Optional[TextMatch] = None,
        count: Optional[int] = None,
    ) -> List[Call]:
        """Fail unless the tool made exactly count such calls of a mocked command, or at least one if count is None. Return them.

        args are all of the arguments, or ``{"prefix": [...]}``; a * stands for any characters.
        """
        __tracebackhide__ = True
        matching: List[Call] = []
        nearest: Optional[Tuple[Call, List[str]]] = None
        for call in self.calls:
            if call.command != command:
                continue
            differences = []
            why = args_mismatch(args, call.args)
            if why:
                differences.append("args: " + why)
            why = mismatch(stdin, call.stdin, glob=False, line=True)
            if why:
                differences.append("stdin: " + why)
            if not differences:
                matching.append(call)
            elif nearest is None or len(differences) < len(nearest[1]):
                nearest = call, differences
        if len(matching) == count or count is None and matching:
            return matching
        given = "".join(f" {key}={value!r}" for key, value in (("args", args), ("stdin", stdin)) if value is not None)
        text = f"calls of {command}{given}: {_came(len(matching))}, want {_count(count)}"
        if not matching and nearest is not None:
            text += f"; the nearest, {nearest[0]}, differs in " + " and ".join(nearest[1])
        raise self._failure(text + "\n" + self.report())

    def assert_command_not_called(self, command: str, args: Optional[ArgsMatch] = None, stdin: Optional[TextMatch] = None) -> None:
        """Fail if the tool made such a call of a mocked command."""
        __tracebackhide__ = True
        self.assert_command_called(command, args, stdin, 0)

    def assert_output(self, name: str, value: TextMatch) -> None:
        """Fail unless the run has the output with this value."""
        __tracebackhide__ = True
        if name not in self.outputs:
            have = "there are " + ", ".join(sorted(self.outputs)) if self.outputs else "there are none"
            raise self._failure(f"there is no output {name}; {have}\n{self.report()}")
        why = mismatch(value, self.outputs[name], glob=False)
        if why:
            raise self._failure(f"output {name}: {why}\n{self.report()}")

    def report(self) -> str:
        """Describe the run in some lines, to explain why a test fails."""
        end = self.reason or f"exit status {self.exit_code}"
        lines = [f"{self.name}: {self.status}" + (f", {end}" if self.status != "succeeded" else "")]
        lines += [f"  note: {_plain(note)}" for note in self.notes]
        if self.requests:
            lines.append("  requests:")
            for request in self.requests[:_MOST_REQUESTS]:
                lines.append(f"    {_plain(str(request))} -> {_answered(request)}")
            if len(self.requests) > _MOST_REQUESTS:
                lines.append(f"    and {len(self.requests) - _MOST_REQUESTS} more")
        if self.calls:
            lines.append("  commands:")
            for call in self.calls[:_MOST_REQUESTS]:
                lines.append(f"    {_plain(str(call))} -> " + (f"exit status {call.exit_code} from {call.mock}" if call.mock else "no answer"))
            if len(self.calls) > _MOST_REQUESTS:
                lines.append(f"    and {len(self.calls) - _MOST_REQUESTS} more")
        for name, step in self.steps.items():
            lines.append(f"  step {name}: {step.status}" + (f", {_plain(step.reason)}" if step.reason else ""))
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            lines += _tail(name, text)
        return "\n".join(lines)


_MOST_REQUESTS = 10
_MOST_LINES = 20


def _request(r: Mapping[str, Any]) -> Request:
    return Request(
        method=r.get("method", ""),
        url=r.get("url", ""),
        host=r.get("host", ""),
        port=r.get("port", 0),
        path=r.get("path", ""),
        query=dict(r.get("query") or {}),
        headers=dict(r.get("headers") or {}),
        body=_bytes(r, "body"),
        body_size=r.get("body_size", 0),
        body_truncated=bool(r.get("body_truncated")),
        protocol=r.get("protocol", ""),
        mock=r.get("mock") or "",
        status=r.get("status", 0),
        problem=r.get("problem") or "",
        seq=r.get("seq", 0),
        time=r.get("time", ""),
    )


def _call(c: Mapping[str, Any]) -> Call:
    return Call(
        command=c.get("command", ""),
        args=list(c.get("args") or []),
        stdin_bytes=_bytes(c, "stdin"),
        stdin_size=c.get("stdin_size", 0),
        exit_code=c.get("exit_code", 0),
        mock=c.get("mock") or "",
        problem=c.get("problem") or "",
        seq=c.get("seq", 0),
        time=c.get("time", ""),
    )


def _connection(c: Mapping[str, Any]) -> Connection:
    return Connection(
        host=c.get("host") or "",
        address=c.get("address", ""),
        port=c.get("port") or 0,
        protocol=c.get("protocol", ""),
        allowed=bool(c.get("allowed")),
        rule=c.get("rule") or "",
        reason=c.get("reason") or "",
        suggest=c.get("suggest") or "",
        mocked=bool(c.get("mocked")),
        rx_bytes=c.get("rx_bytes", 0),
        tx_bytes=c.get("tx_bytes", 0),
    )


def _differences(
    request: Request,
    method: Optional[str],
    path: Optional[TextMatch],
    host: Optional[TextMatch],
    headers: Optional[Mapping[str, Optional[TextMatch]]],
    json: Any,
    body: Optional[Union[TextMatch, bytes]],
    port: Optional[int],
    query: Optional[Mapping[str, Optional[TextMatch]]],
) -> List[str]:
    out = []
    wanted: Dict[str, Any] = {}
    slashed = False
    if isinstance(path, str):
        split = urlsplit(path) if "://" in path else None
        if split is not None:
            if split.scheme != urlsplit(request.url).scheme:
                out.append(f"scheme: want {split.scheme}")
            host = host if host is not None else split.hostname
            port = port if port is not None else split.port or {"https": 443}.get(split.scheme, 80)
            path, rest, slashed = _slashed(split.path) or "/", split.query, True
        else:
            path, _, rest = path.partition("?")
        # A repeated parameter must have exactly these values.
        wanted = {name: values if len(values) > 1 else values[0] for name, values in parse_qs(rest, keep_blank_values=True).items()}
    if method is not None and method.upper() != request.method:
        out.append(f"method: want {method.upper()}")
    if isinstance(host, str):
        host = _unicode_host(host)
    why = mismatch(host, request.host, glob=True)
    if why and mismatch(host, _unicode_host(request.host), glob=True):
        out.append("host: " + why)
    if port is not None and port != request.port:
        out.append(f"port: {request.port} is not {port}")
    whys = [mismatch(path, form, glob=True) for form in _paths(request, slashed)]
    if all(whys):
        out.append("path: " + whys[0])
    out += values_mismatch("query", wanted, request.query, fold=False)
    out += values_mismatch("query", query or {}, request.query, fold=False)
    out += values_mismatch("header", headers or {}, {"Host": [request.host, f"{request.host}:{request.port}"], **request.headers}, fold=True)
    if json is not None:
        why = json_mismatch(json, request.body)
        if why:
            out.append("json: " + why)
    if isinstance(body, (bytes, bytearray)):
        if body != request.body:
            out.append(f"body: {request.body[:200]!r} is not {bytes(body)[:200]!r}")
    else:
        why = mismatch(body, request.text, glob=False)
        if why and not _same_form(body, request):
            out.append("body: " + why)
    return out


def _slashed(path: str) -> str:
    """Decode the path of a URL, except for encoded slashes and percent signs, which differ from plain ones."""
    kept = re.sub("%(2f|25)", lambda m: "%25" + m[1].upper(), path, flags=re.I)
    return unquote(kept)


def _paths(request: Request, slashed: bool) -> List[str]:
    """Return the forms of a request's path; one of them must match.

    If slashed, for the path of a URL, that is only the form that keeps encoded slashes. Otherwise it is also the path as it
    was sent and, unless a slash in it was encoded twice, the decoded path.
    """
    escaped = request.url.partition("://")[2].partition("?")[0]
    escaped = escaped[escaped.find("/") :] if "/" in escaped else "/"
    kept = _slashed(escaped)
    if slashed:
        return [kept]
    return [kept, escaped] if "%2F" in request.path.upper() else [request.path, kept, escaped]


def _unicode_host(host: str) -> str:
    """Return a host in lower case and in the letters of its script."""
    return ".".join(_unicode_label(label) for label in host.lower().split("."))


def _unicode_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[len("xn--") :].encode().decode("punycode")
    except UnicodeError:
        return label


def _same_form(want: Any, request: Request) -> bool:
    """Report whether the body is a form with the same fields as want, in any order."""
    kind = request.header("Content-Type") or ""
    if not isinstance(want, str) or not kind.startswith("application/x-www-form-urlencoded"):
        return False
    wanted, got = (parse_qs(text, keep_blank_values=True) for text in (want, request.text))
    return {name: sorted(values) for name, values in wanted.items()} == {name: sorted(values) for name, values in got.items()}


def _came(n: int) -> str:
    return "none came" if n == 0 else f"{n} came"


def _count(n: Optional[int]) -> str:
    return "at least 1" if n is None else "none" if n == 0 else str(n)


def _answered(request: Request) -> str:
    if not request.mock:
        return "no answer"
    if not request.status:
        return f"nothing, as {request.mock} says"
    return f"{request.status} from {request.mock}"


def _plain(text: str) -> str:
    """Replace the characters of a tool's text that could control the terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


def _tail(name: str, text: str) -> Sequence[str]:
    """Return the last lines of what was printed, where the cause of a failure most likely is."""
    if not text.strip():
        return []
    lines = text.rstrip("\n").split("\n")
    head = f"  {name}:"
    if len(lines) > _MOST_LINES:
        head = f"  {name}, the last {_MOST_LINES} of {len(lines)} lines:"
        lines = lines[-_MOST_LINES:]
    return [head, *(f"    {_plain(line[:1000])}" for line in lines)]
