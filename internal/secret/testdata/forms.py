#!/usr/bin/env python3
"""Prints forms.json: secrets in the output of programs. Needs bash, dash, busybox, coreutils, jq, node, perl, xxd, kubectl.

    python3 forms.py >forms.json && go test -run TestFormsOfRealPrograms -args -update

The test adds "want" to each; check it by eye.
"""
import base64, json, os, re, shlex, subprocess, sys, urllib.parse, yaml

VALUES = {
    "signs": "p@ss w0rd/&%25\"x'y$z+<\u00e9`!\\",
    "control": "one\ttwo\x1bthree'four\x7f\u00e9\u65e5",
    "token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "long": "Zx9/" * 3 + "\"q'" + "abcDEF0123456789+/" * 5,
}

def sh(command, value, locale="C.UTF-8"):
    out = subprocess.run(["bash", "-c", command], env={**os.environ, "V": value, "LC_ALL": locale}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    return out.stdout

COMMANDS = {
    "bash -x": "bash -xc ': \"$V\"'",
    "dash -x": "dash -xc ': \"$V\"'",
    "busybox -x": "busybox sh -xc ': \"$V\"'",
    "dash export": "dash -c 'export -p' | grep -a '^export V='",
    "bash declare": "bash -c 'declare -p V'",
    "bash @Q": "echo \"${V@Q}\"",
    "bash printf %q": "printf '%q\\n' \"$V\"",
    "coreutils printf %q": "env printf '%q\\n' \"$V\"",
    "jq @sh @json @uri @html @csv @base64": "jq -nr '$ENV.V | @sh, @json, @uri, @html, ([.] | @csv), @base64'",
    "jq twice": "jq -nr '$ENV.V | (@json | @json), (@uri | @uri), ({a: .} | @json | @base64), (@base64 | @uri)'",
    "node": "node -e 'const v = process.env.V; console.log(encodeURIComponent(v), JSON.stringify(v), require(\"util\").inspect(v), encodeURIComponent(encodeURIComponent(v)))'",
    "perl quotemeta": "perl -e 'print quotemeta($ENV{V}), \"\\n\"'",
    "base64 -w0": "printf %s \"$V\" | base64 -w0",
    "base64 -w64": "printf %s \"user:$V\" | base64 -w64",
    "base64": "printf %s \"$V and more\" | base64",
    "base64 | base64": "printf %s \"u:$V\" | base64 -w0 | base64 -w0",
    "base32": "printf %s \"$V\" | base32",
    "xxd -p": "printf %s \"$V\" | xxd -p",
    "xxd": "printf 'password=%s;' \"$V\" | xxd",
    "hexdump -C": "printf %s \"$V\" | hexdump -C",
    "od": "printf 'x%s' \"$V\" | od -An -tx1; printf 'x%s' \"$V\" | od -tx1",
    "kubectl generic": "kubectl create secret generic s --from-literal=p=\"$V\" --dry-run=client -o yaml",
    "kubectl registry": "kubectl create secret docker-registry s --docker-username=u --docker-password=\"$V\" --docker-server=r --dry-run=client -o yaml",
    "kubectl config map": "kubectl create configmap s --from-literal=p=\"$V\" --dry-run=client -o json",
}

def python(v):
    lower = lambda s: re.sub("%..", lambda m: m[0].lower(), s)
    return {
        "repr": repr(v), "ascii": ascii(v), "bytes": repr(v.encode()), "re.escape": re.escape(v),
        "json": json.dumps(v), "json unicode": json.dumps(v, ensure_ascii=False),
        "json in json": json.dumps({"log": json.dumps({"msg": v})}),
        "shlex": shlex.quote(v), "yaml": yaml.safe_dump({"p": v}), "yaml unicode": yaml.safe_dump({"p": v}, allow_unicode=True, width=1000),
        "yaml single": yaml.safe_dump({"p": v}, default_style="'", width=1000),
        "quote": urllib.parse.quote(v), "quote_plus": urllib.parse.quote_plus(v), "quote lower": lower(urllib.parse.quote(v, safe="")),
        "quote twice": urllib.parse.quote(urllib.parse.quote(v, safe=""), safe=""), "plus twice lower": lower(urllib.parse.quote_plus(lower(urllib.parse.quote_plus(v)))),
        "urlsafe": base64.urlsafe_b64encode(v.encode()).decode(),
    }

forms = []
for name, value in VALUES.items():
    for tool, command in COMMANDS.items():
        for locale in ["C", "C.UTF-8"]:
            try:
                out = sh(command, value, locale).decode()
            except UnicodeDecodeError:
                continue  # JSON can't contain this output
            if locale == "C" or out != forms[-1]["output"]:
                forms.append({"tool": tool + " " + locale, "value": value, "output": out})
    for tool, out in python(value).items():
        forms.append({"tool": "python " + tool, "value": value, "output": out})
json.dump(forms, sys.stdout, indent=1)
print()
