#!/usr/bin/env bash
# The demo: a real tool, end to end, with its own image store. It needs no registry and leaves nothing behind.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
work=$(mktemp -d)
server= team=
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  # The server ends when its runner has.
  [ -z "$team" ] || { kill "$team" 2>/dev/null && wait "$team"; } || true
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT

export MAYFLY_HOME=$work/home
bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; "$@"; }

# A service to check: it answers /health on a free port of this machine.
python3 - "$work/port" <<'PY' &
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"status": "healthy"}')
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[1] + ".new", "w").write(str(server.server_port))
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
PY
server=$!
for _ in $(seq 1200); do [ -s "$work/port" ] && break; sleep 0.05; done
port=$(cat "$work/port")

say bin/mayfly image load .build/images/python.tar
say bin/mayfly validate examples/deployment-checker/tool.yaml
say bin/mayfly run examples/deployment-checker/tool.yaml --arg "service_url=http://host.mayfly.internal:$port"
export TOKEN=correct-horse-battery-staple
cat > "$work/careful.yaml" <<'YAML'
name: careful
image: mayfly/python
command: |
  echo "the token is $TOKEN, or $(printf %s "$TOKEN" | base64)"
  echo "the network:"; curl -sS -m 5 http://169.254.169.254/ || true
  echo "the disk:"; touch /etc/nope || true
  echo "CHECKED=yes" >> "$MAYFLY_OUTPUT"
environment: {TOKEN: /secrets/token}
outputs: [CHECKED]
YAML
say bin/mayfly run "$work/careful.yaml" --secret token=env:TOKEN
say bin/mayfly test examples/deployment-checker --run redirect

# The same for a team: a server with a runner, on a free port.
printf '\n%s$ %s%s\n' "$bold" "bin/mayfly server --with-runner --data $work/server &" "$plain"
bin/mayfly server --with-runner --data "$work/server" --listen 127.0.0.1:0 >"$work/server.out" 2>"$work/server.log" &
team=$!
for _ in $(seq 1200); do grep -q '^Log in' "$work/server.out" && break; kill -0 "$team" || { cat "$work/server.log" >&2; exit 1; }; sleep 0.05; done
cat "$work/server.out"
url=$(sed -n 's/.*listens at //p' "$work/server.out")
say bin/mayfly login "$url" --token-file "$work/server/admin-token" --name team
say bin/mayfly context use team
say bin/mayfly tool push examples/deployment-checker
say bin/mayfly run deployment-checker --arg "service_url=http://host.mayfly.internal:$port"
say bin/mayfly runs

cat <<END

That was the demo. Its images and secrets are removed. To write your own tool in your own folder:

  export PATH=$PWD/bin:\$PATH
  mayfly image load $PWD/.build/images/shell.tar
  mkdir ~/ops && cd ~/ops
  mayfly init hello && mayfly test && mayfly run hello

The README goes on from here.
END
