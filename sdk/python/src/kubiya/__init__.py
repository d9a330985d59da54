"""Tests of operations tools in their real sandboxes, with mocks in place of the network and of commands.

    from kubiya import ToolTest

    class TestChecker(ToolTest):
        def test_healthy(self):
            self.mock_http_response("GET", "/health", 200, {"status": "healthy"})
            result = self.load_tool("checker").execute({"service_url": "http://localhost:8080"})
            self.assertEqual(result.exit_code, 0)
            self.assert_requested("GET", "/health", count=1)

The mayfly command runs the tools. The environment variable MAYFLY names it if it isn't in PATH.
"""

from ._errors import MayflyNotFoundError, MockFailure, ToolError
from ._result import Call, Connection, Failure, Request, Result, Step, Usage
from ._test import Tool, ToolTest

__all__ = [
    "Call",
    "Connection",
    "Failure",
    "MayflyNotFoundError",
    "MockFailure",
    "Request",
    "Result",
    "Step",
    "Tool",
    "ToolError",
    "ToolTest",
    "Usage",
]
