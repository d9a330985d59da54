"""The mocks and values that a test registers, and their form in a file of tests."""

from __future__ import annotations

import base64
import datetime
import json
import math
import os
import sys
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ._match import TextMatch, to_yaml

__unittest = True

#: Seconds, a timedelta, or a text such as "1m30s".
Duration = Union[int, float, datetime.timedelta, str]

#: A text, bytes, or a value that is sent as JSON.
Body = Any

UNSET: Any = type("Unset", (), {"__repr__": lambda self: "UNSET"})()

# A longer body is sent in base64: a file of tests may have only a limited number of commas and colons, and base64 has none.
_LONG = 4096


@dataclass
class Mock:
    """One mock: its definition in a file of tests, and its name in messages."""

    definition: Dict[str, Any]
    label: str


@dataclass
class World:
    """Everything that a test has registered. Mocks are in the order of their registration."""

    environment: Dict[str, str] = field(default_factory=dict)
    secrets: Dict[str, str] = field(default_factory=dict)
    http: List[Mock] = field(default_factory=list)
    commands: List[Mock] = field(default_factory=list)
    steps: Dict[str, Mock] = field(default_factory=dict)
    allow_network: List[Any] = field(default_factory=list)


def duration(value: Duration) -> str:
    """Return the form of a duration in a file of tests. Fractions of a millisecond are rounded up."""
    if isinstance(value, str):
        return value
    seconds = value.total_seconds() if isinstance(value, datetime.timedelta) else float(value)
    return f"{math.ceil(seconds * 1000)}ms"


def text(value: Any, what: str) -> str:
    """Return a value as text, as in the environment. what names it in the error."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    raise TypeError(f"{what} is {value!r}, which is not a text")


def address(path_or_url: TextMatch) -> Tuple[str, Any]:
    """Return the key of an address in a file of tests, path or url, and its value."""
    if isinstance(path_or_url, str):
        if "://" in path_or_url:
            return "url", path_or_url
        if not path_or_url.startswith(("/", "*")):
            raise ValueError(f"{path_or_url!r} is neither a path, such as /health, nor a URL, such as https://api.example.com/health")
    return "path", to_yaml(path_or_url)


def answer(
    status: Optional[int] = None,
    headers: Optional[Mapping[str, Union[str, Sequence[str]]]] = None,
    body: Body = None,
    json: Any = UNSET,  # noqa: A002 - the format's own name
    file: Optional[str] = None,
    delay: Optional[Duration] = None,
    reset: bool = False,
    timeout: bool = False,
    chunks: Optional[Sequence[Mapping[str, Any]]] = None,
) -> Dict[str, Any]:
    """Return the form of an answer in a file of tests."""
    out: Dict[str, Any] = {}
    if status is not None:
        out["status"] = int(status)
    sent: Dict[str, Any] = {name: v if isinstance(v, str) else [str(one) for one in v] for name, v in (headers or {}).items()}
    if json is not UNSET:
        if body is not None:
            raise ValueError("an answer has both body and json: keep one of them")
        _json_body(out, sent, json)
    elif isinstance(body, (bytes, bytearray, memoryview)):
        out["body_base64"] = base64.b64encode(bytes(body)).decode()
    elif isinstance(body, str):
        _text_body(out, sent, body, "text/plain; charset=utf-8")
    elif body is not None:
        _json_body(out, sent, body)
    if sent:
        out["headers"] = sent
    if file is not None:
        out["file"] = os.fspath(file)
    if chunks is not None:
        out["chunks"] = [_chunk(**one) for one in chunks]
    if delay is not None:
        out["delay"] = duration(delay)
    if reset:
        out["reset"] = True
    if timeout:
        out["timeout"] = True
    return out


def _chunk(body: str, delay: Optional[Duration] = None) -> Dict[str, Any]:
    out: Dict[str, Any] = {"body": body}
    if delay is not None:
        out["delay"] = duration(delay)
    return out


def _json_body(out: Dict[str, Any], headers: Dict[str, Any], value: Any) -> None:
    # The value is sent as text, so that it arrives exactly as Python writes it.
    _text_body(out, headers, json.dumps(value), "application/json")


def _text_body(out: Dict[str, Any], headers: Dict[str, Any], body: str, kind: str) -> None:
    names = {name.lower() for name in headers}
    if "content-type" not in names:
        headers["Content-Type"] = kind
    if len(body) > _LONG and "content-encoding" not in names:  # mayfly compresses only text
        out["body_base64"] = base64.b64encode(body.encode()).decode()
    else:
        out["body"] = body


def site() -> str:
    """Return the place of the code that called this package: file and line."""
    here = os.path.dirname(os.path.abspath(__file__))
    frame = sys._getframe(1)
    while frame.f_back is not None and os.path.dirname(os.path.abspath(frame.f_code.co_filename)) == here:
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def describe(function: str, *args: Any) -> str:
    """Return the name of a mock in messages: the call that registered it, and the place of that call."""
    shown = ", ".join(repr(a) for a in args if a is not None)
    if len(shown) > 120:
        shown = shown[:120] + "…"
    return f"{function}({shown}) at {site()}"
