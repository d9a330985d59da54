"""The exceptions of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from ._result import Result


class ToolError(Exception):
    """The run was impossible, without the tool being at fault: a definition or a mock is wrong, or an image is missing.

    ``code`` says why, as docs/TOOL-FORMAT.md lists it: image_not_found, secret_not_found, invalid_definition…; it is "" if
    mayfly didn't run.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class MayflyNotFoundError(ToolError):
    """The mayfly command, which runs tools, is not found."""


class MockFailure(AssertionError):
    """No mock answered a request or call of the tool, or a mock answered less often than its ``times``.

    ``result`` is the result of the run.
    """

    def __init__(self, message: str, result: Optional[Result] = None) -> None:
        super().__init__(message)
        self.result = result
