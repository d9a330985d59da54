#!/usr/bin/env bash
# Measures masking on real output: a few MB of kubectl, aws, ansible, git, apt and jq, printed by a tool that has a kubeconfig
# and a service account as secrets. No part of the secrets may be left, and nothing else may be masked. docs/SECURITY.md has
# the figures. Run it as root; it needs what images/build.sh needs, and a Debian mirror.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d /var/tmp/mayfly-masks.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
export MAYFLY_HOME=$work/home

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mmdebstrap --quiet --mode=root --variant=minbase --format=tar \
  --include=ansible-core,apt,awscli,bash,ca-certificates,git,jq,kubernetes-client,python3 "$suite" "$work/root.tar" >&2
(cd "$root" && go run ./images/mkimage -name mayfly/masks:latest -rootfs "$work/root.tar" -env PATH=/usr/sbin:/usr/bin:/sbin:/bin -env LANG=C.UTF-8 -cmd /bin/bash -out "$work/masks.tar")
"$root/bin/mayfly" image load "$work/masks.tar" >&2

cd "$work"
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=admin 2>/dev/null
python3 - <<'P'
import base64, json, secrets
key, cert = open("key.pem").read(), open("cert.pem").read()
b64 = lambda s: base64.b64encode(s.encode()).decode()
json.dump({"type": "service_account", "project_id": "demo-1", "private_key_id": secrets.token_hex(20), "private_key": key,
           "client_email": "robot@demo-1.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token"}, open("account", "w"), indent=2)
open("kubeconfig", "w").write(f"""apiVersion: v1
kind: Config
current-context: default
clusters: [{{name: kubernetes, cluster: {{server: "http://127.0.0.1:9001"}}}}]
contexts: [{{name: default, context: {{cluster: kubernetes, namespace: default, user: admin}}}}]
users: [{{name: admin, user: {{token: tok-{secrets.token_urlsafe(24)}, client-certificate-data: {b64(cert)}, client-key-data: {b64(key)}}}}}]
""")
P
git -C "$root" bundle create -q "$work/history" HEAD
cat >server.py <<'P'
import http.server, json
pod = lambda n: {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": f"web-{n}", "namespace": "default", "labels": {"app": "admin", "cluster": "kubernetes"}},
                 "spec": {"serviceAccountName": "default", "containers": [{"name": "main", "image": f"registry.example.com/team/app:{n}", "env": [{"name": "A", "value": "default"}]}]}}
answers = {"/api": {"kind": "APIVersions", "versions": ["v1"]}, "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]}]},
    "/api/v1/namespaces/default/pods": {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod(n) for n in range(800)]}}
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        xml = b'<?xml version="1.0"?><ListAllMyBucketsResult><Buckets>' + b"".join(b"<Bucket><Name>default-%d</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>" % n for n in range(500)) + b"</Buckets></ListAllMyBucketsResult>"
        body, kind = (json.dumps(answers[path]).encode(), "application/json") if path in answers else (xml, "application/xml")
        self.send_response(200); self.send_header("Content-Type", kind); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9001), H).serve_forever()
P
cat >all.sh <<'S'
export KUBECONFIG=/run/kubeconfig AWS_ACCESS_KEY_ID=default AWS_SECRET_ACCESS_KEY=kubernetes AWS_DEFAULT_REGION=eu-west-1 ANSIBLE_LOCALHOST_WARNING=0 GIT_PAGER=cat
python3 /workspace/server.py & until (echo >/dev/tcp/127.0.0.1/9001) 2>/dev/null; do sleep 0.1; done
kubectl get pods -o yaml; kubectl get pods -o json; kubectl -v=8 get pods; kubectl config view --raw; kubectl config view --raw -o json
aws --endpoint-url http://127.0.0.1:9001 s3 ls; aws --debug --endpoint-url http://127.0.0.1:9001 s3 ls 2>&1
ansible -vvv -i localhost, -c local all -m setup; ansible-doc -l; ansible -vvv -i localhost, -c local all -m slurp -a src=/run/account; ansible -vvv -i localhost, -c local all -m command -a 'cat /run/kubeconfig'
git clone -q /workspace/history r; git -C r log -p | head -c 3000000
apt list; apt-cache dumpavail; apt-config dump; dpkg -l
jq . /run/account; jq -c . /run/account; jq -r '.private_key' /run/account; jq -R . /run/kubeconfig; base64 /run/account; set -x; : "$(cat /run/account)"; export -p
S
cat >tool.yaml <<'T'
name: masks
image: mayfly/masks
network: none
timeout: 15m
resources: {memory: 1Gi}
environment: [ACCOUNT=/secrets/account]
volumes:
  - {name: a, secret: account, mount_path: /run/account}
  - {name: k, secret: kubeconfig, mount_path: /run/kubeconfig}
  - {name: s, file: server.py, mount_path: /workspace/server.py}
  - {name: all, file: all.sh, mount_path: /workspace/all.sh}
  - {name: h, file: history, mount_path: /workspace/history}
# The output, and on standard error the same output in a form that isn't masked: each byte XOR 1.
command: |
  bash /workspace/all.sh >/tmp/out 2>&1 </dev/null; kill %1 2>/dev/null
  cat /tmp/out
  python3 -c 'import sys; sys.stderr.buffer.write(bytes(b ^ 1 for b in open("/tmp/out", "rb").read()))'
T
"$root/bin/mayfly" run -q tool.yaml --secret account=file:account --secret kubeconfig=file:kubeconfig >masked 2>other
python3 - <<'P'
import base64, json, re
masked, raw = open("masked", "rb").read(), bytes(b ^ 1 for b in open("other", "rb").read())
account, config = json.load(open("account")), open("kubeconfig").read()
key, cert = open("key.pem").read(), open("cert.pem").read()
token = re.search("token: (tok-[^,]*)", config)[1]
b64 = lambda s: base64.b64encode(s.encode()).decode()
lines = [l for pem in (key, cert) for l in pem.splitlines() if not l.startswith("---")]
leaves = [token, account["private_key_id"], b64(key), b64(cert)] + lines
left = [s for s in leaves if s.encode() in masked]
# For each mask, find the text that it stands for: the raw text between the pieces before and after the mask.
at, covered, wrong = 0, 0, []
pieces = masked.split(b"***")
assert raw.startswith(pieces[0]), "the outputs differ before the first mask"
at = len(pieces[0])
whole = [open("account").read(), config, json.dumps(account), json.dumps(account, separators=(",", ":"))]
known = [re.sub(r"\s|\\n", "", t) for t in [key, cert, b64(key), b64(cert), token, account["private_key_id"]] + [base64.b64encode(w.encode()).decode() for w in whole]]
known += [re.sub(r"\s", "", base64.b64encode(b"x" * i + w.encode()).decode()) for w in whole for i in (1, 2)]
def stands_for(gap):
    flat = re.sub(r"\s|\\+[nr]?", "", gap.decode(errors="replace"))  # without line breaks, also those of JSON
    return not gap.strip(b"*") or any(flat in k for k in known)  # the program itself may have printed ***
for piece in pieces[1:]:
    # A short piece may also be in the masked text. The right place is the first at which the mask stands for a secret.
    end = first = raw.find(piece, at) if piece else at
    while 0 <= end < first + 9000 and not stands_for(raw[at:end]):
        end = raw.find(piece, end + 1)
    if not 0 <= end < first + 9000:
        wrong.append(raw[at:first].decode(errors="replace"))
        end = first
    covered += end - at
    at = end + len(piece)
print(f"output: {len(raw)} bytes, {len(pieces) - 1} masks for {covered} bytes")
print(f"left of the secrets: {len(left)}; masks that stand for something else: {len(wrong)}")
for w in wrong[:10]:
    print("  ", repr(w[:200]))
raise SystemExit(bool(left or wrong or len(raw) < 2_000_000))
P
