"""Calls a mocked command."""
import subprocess

r = subprocess.run(["deploy", "--app", "a b", ""], input="from python", capture_output=True, text=True)
print("command", f"{r.stdout.strip()} {r.stderr.strip()} {r.returncode}", sep="\t")
