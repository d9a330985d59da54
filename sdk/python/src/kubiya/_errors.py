"""What goes wrong, by whose fault it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from ._result import Result


class ToolError(Exception):
    """A run that couldn't be made, by no fault of the tool's: a definition or a mock that is wrong, a missing image.

    ``code`` says why, as docs/TOOL-FORMAT.md lists it: image_not_found, secret_not_found, invalid_definition…; "" where mayfly
    didn't run.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class MayflyNotFoundError(ToolError):
    """There is no mayfly command to run tools with."""


class MockFailure(AssertionError):
    """The tool asked for what no mock answers, or a mock with ``times`` answered less often than it has to.

    ``result`` is the run's, for who catches this.
    """

    def __init__(self, message: str, result: Optional[Result] = None) -> None:
        super().__init__(message)
        self.result = result
