"""The cases of test/matching, which mayfly and the SDK for Go run too."""

import json
import pathlib
import unittest
from decimal import Decimal

from kubiya._match import args_mismatch, mismatch
from kubiya._result import Request, _differences

FILE = pathlib.Path(__file__).parents[3] / "test" / "matching" / "cases.json"


class TestSharedCases(unittest.TestCase):
    def test_cases(self):
        run = 0
        for case in json.loads(FILE.read_text(encoding="utf-8"), parse_float=Decimal):
            with self.subTest(case["name"]):
                want = dict(case["want"])
                if "call" in case:
                    why = self.call(want, case["call"])
                elif "json" in want and want["json"] is None:
                    continue  # for the SDK, None means any body
                else:
                    why = self.request(want, case["request"])
                run += 1
                self.assertEqual(not why, case["match"], why)
        self.assertGreater(run, 200)

    def request(self, want, got):
        request = Request(body_size=0, body_truncated=False, protocol="", mock="", status=0, problem="", seq=1, time="", **{**got, "body": got["body"].encode()})
        path = want.pop("url", None) or want.pop("path", None)
        keys = ("method", "host", "headers", "json", "body", "port", "query")
        self.assertLessEqual(set(want), set(keys), "a key of a request is new")
        method, host, headers, body_json, body, port, query = (want.get(key) for key in keys)
        return _differences(request, method, path, host, headers, body_json, body, port, query)

    def call(self, want, got):
        self.assertLessEqual(set(want), {"command", "args", "stdin"}, "a key of a call is new")
        if want["command"] != got["command"]:
            return "command"
        return args_mismatch(want.get("args"), got["args"]) or mismatch(want.get("stdin"), got["stdin"], glob=False, line=True)


if __name__ == "__main__":
    unittest.main()
