"""Comparisons of texts, JSON and arguments, as docs/TESTING.md describes them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Callable, Dict, List, Mapping, Optional, Pattern, Sequence, Union

__unittest = True  # unittest leaves frames of modules with this name out of its tracebacks

#: A text, a compiled pattern for the whole text, or a mapping of conditions (equals, glob, regex, matches, contains, not_contains).
TextMatch = Union[str, Pattern[str], Mapping[str, Any]]

#: All arguments of a command, or ``{"prefix": [...]}``.
ArgsMatch = Union[Sequence[TextMatch], Mapping[str, Sequence[TextMatch]]]


def to_yaml(value: TextMatch) -> Any:
    """Return the form of a comparison in a file of tests."""
    if isinstance(value, re.Pattern):
        return {"regex": _inline_flags(value)}
    if isinstance(value, Mapping):
        return {key: _conditions(v) for key, v in value.items()}
    if isinstance(value, str):
        return value
    raise TypeError(f"{value!r} is not a text, a compiled pattern or a mapping of conditions")


def _conditions(value: Any) -> Any:
    if isinstance(value, re.Pattern):
        return _inline_flags(value)
    if isinstance(value, (list, tuple)):
        return [_conditions(v) for v in value]
    return value


def _inline_flags(pattern: Pattern[str]) -> str:
    letters = "".join(letter for letter, flag in (("i", re.I), ("m", re.M), ("s", re.S)) if pattern.flags & flag)
    return (f"(?{letters})" if letters else "") + pattern.pattern


def args_to_yaml(args: ArgsMatch) -> Any:
    """Return the form of arguments in a file of tests."""
    if isinstance(args, (str, bytes)):
        raise TypeError(f"args is {args!r}: write a list, such as {args.split()!r}")
    if isinstance(args, Mapping):
        return {key: [to_yaml(word) for word in words] for key, words in args.items()}
    return [to_yaml(word) for word in args]


def mismatch(want: Optional[TextMatch], got: str, glob: bool, line: bool = False) -> str:
    """Say how a text differs from want, or return "".

    If glob is set, a * in a plain text stands for any characters. If line is set, a last line break makes no difference.
    """
    if want is None:
        return ""
    if isinstance(want, str):
        want = {"glob" if glob and "*" in want else "equals": want}
    elif isinstance(want, re.Pattern):
        want = {"regex": want}
    for key, value in want.items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if key not in _CONDITIONS:
            raise ValueError(f"{key!r} is not a condition; the conditions are {', '.join(_CONDITIONS)}")
        texts, compared = [got], values
        if line and key == "equals":
            texts, compared = [_without_break(got)], [_without_break(v) for v in values]
        elif line and key in ("glob", "regex"):
            texts.append(_without_break(got))
        if not any(_CONDITIONS[key](compared, text) for text in texts):
            wants = " or ".join(_shown(v) for v in values)
            return f"{_shown(got)} {_SAYS[key]} {wants}"
    return ""


def _without_break(text: str) -> str:
    return text[:-1] if text.endswith("\n") else text


def _shown(value: Any) -> str:
    text = repr(value.pattern if isinstance(value, re.Pattern) else value)
    return text if len(text) <= 200 else text[:200] + "…"


def glob_pattern(glob: str) -> Pattern[str]:
    """Return a pattern in which * stands for any characters and no other character is special."""
    return re.compile(".*".join(re.escape(part) for part in glob.split("*")), re.S)


_CONDITIONS: Dict[str, Callable[[List[Any], str], bool]] = {
    "equals": lambda values, text: text in values,
    "glob": lambda values, text: any(glob_pattern(v).fullmatch(text) for v in values),
    "regex": lambda values, text: any((v if isinstance(v, re.Pattern) else re.compile(v, re.S)).fullmatch(text) for v in values),
    "matches": lambda values, text: all((v if isinstance(v, re.Pattern) else re.compile(v, re.M)).search(text) for v in values),
    "contains": lambda values, text: all(v in text for v in values),
    "not_contains": lambda values, text: not any(v in text for v in values),
}

_SAYS = {
    "equals": "is not",
    "glob": "does not match the glob",
    "regex": "does not match the regular expression",
    "matches": "has no part that matches",
    "contains": "does not contain",
    "not_contains": "contains",
}


def args_mismatch(want: Optional[ArgsMatch], got: Sequence[str]) -> str:
    """Say how arguments differ from want, or return ""."""
    if want is None:
        return ""
    args_to_yaml(want)  # raises TypeError if want is invalid
    prefix = isinstance(want, Mapping)
    words: Sequence[TextMatch] = want["prefix"] if isinstance(want, Mapping) else want
    for i, word in enumerate(words):
        if i >= len(got):
            return f"word {i + 1}, {_shown(word)}, is missing"
        why = mismatch(word, got[i], glob=True)
        if why:
            return f"word {i + 1}: {why}"
    if not prefix and len(got) > len(words):
        return f"word {len(words) + 1}, {_shown(got[len(words)])}, is one too many"
    return ""


def json_mismatch(want: Any, body: bytes) -> str:
    """Say where a body lacks something that want has, or return "". Objects in the body may have more keys."""
    try:
        # Decimal keeps every digit of a number. NaN and Infinity are not JSON.
        got = json.loads(body.decode(errors="replace"), parse_int=Decimal, parse_float=Decimal, parse_constant=_no_constant)
    except ValueError:
        return "the body isn't JSON"
    return _part(want, got, "")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _part(want: Any, got: Any, at: str) -> str:
    where = at or "the body"
    differ = f"{where} is {_brief(got)}, not {_brief(want)}"
    if isinstance(want, Mapping):
        if not isinstance(got, dict):
            return differ
        for key in want:
            if key not in got:
                return f"{where} has no {key!r}"
            why = _part(want[key], got[key], f"{at}.{key}")
            if why:
                return why
        return ""
    if isinstance(want, (list, tuple)):
        if not isinstance(got, list):
            return differ
        if len(want) != len(got):
            return f"{where} has {len(got)} items, not {len(want)}"
        for i, item in enumerate(want):
            why = _part(item, got[i], f"{at}[{i}]")
            if why:
                return why
        return ""
    if isinstance(want, float):
        want = Decimal(repr(want))
    # True == 1 in Python, and not in JSON.
    if isinstance(want, bool) != isinstance(got, bool) or want != got:
        return differ
    return ""


def _brief(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:60] + "…"


def paired(patterns: Sequence[Optional[TextMatch]], values: Sequence[str]) -> bool:
    """Report whether each pattern can be paired with a different value, with no value left over."""
    if len(patterns) != len(values):
        return False
    if not patterns:
        return True
    return any(
        not mismatch(patterns[0], value, glob=True) and paired(patterns[1:], [*values[:i], *values[i + 1 :]]) for i, value in enumerate(values)
    )


def values_mismatch(kind: str, want: Mapping[str, Any], got: Mapping[str, List[str]], fold: bool) -> List[str]:
    """Say how the values of headers or query parameters, by their names, differ from want.

    A wanted value of None matches any value. If fold is set, names are compared without regard to case.
    """
    have: Dict[str, List[str]] = {}
    for name, values in got.items():
        have.setdefault(name.lower() if fold else name, []).extend(values)
    out = []
    for name, value in want.items():
        values = have.get(name.lower() if fold else name, [])
        if isinstance(value, (list, tuple)):
            if not paired(value, values):
                out.append(f"{kind} {name}: {values!r} is not {list(value)!r}")
        elif isinstance(value, Mapping) and dict(value) == {"absent": True}:
            if values:
                out.append(f"{kind} {name}: it is present")
        elif not values:
            out.append(f"{kind} {name}: it is missing")
        elif all(mismatch(value, v, glob=True) for v in values):
            out.append(f"{kind} {name}: {mismatch(value, values[0], glob=True)}")
    return out
