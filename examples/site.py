#!/usr/bin/env python3
"""A place to deploy to, for trying the examples: it keeps what is PUT, and gives it back.

usage: python3 examples/site.py [PORT]        (8080 when not given; it listens on this machine's loopback only)
"""

import http.server
import sys


class Site(http.server.BaseHTTPRequestHandler):
    kept = {}

    def do_GET(self):
        if self.path.endswith("/health"):
            self.answer(200, b'{"status": "healthy"}')
        elif self.path in self.kept:
            self.answer(200, self.kept[self.path])
        else:
            self.answer(404, b"")

    def do_PUT(self):
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201, b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Site).serve_forever()
