import http.server
import sys

from version import VERSION


class Greeter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"hello {self.path.strip('/') or 'world'}, from {VERSION}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Greeter).serve_forever()
