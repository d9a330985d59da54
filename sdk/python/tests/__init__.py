"""Tests of the SDK: real runs with the mayfly in bin, and with their own image store."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SRC = os.path.join(ROOT, "sdk", "python", "src")
EXAMPLE = os.path.join(ROOT, "examples", "deployment-checker")
MAYFLY = os.path.join(ROOT, "bin", "mayfly")

if SRC not in sys.path:
    sys.path.insert(0, SRC)


def _home() -> str:
    home = tempfile.mkdtemp(prefix="kubiya-sdk-")
    atexit.register(shutil.rmtree, home)
    for image in ("python", "shell"):
        archive = os.path.join(ROOT, ".build", "images", image + ".tar")
        subprocess.run([MAYFLY, "image", "load", archive], env={**os.environ, "MAYFLY_HOME": home}, check=True, stdout=subprocess.DEVNULL)
    return home


os.environ["MAYFLY"] = MAYFLY
os.environ["MAYFLY_HOME"] = _home()
# An empty policy, so that the machine's own has no effect on these tests.
os.environ["MAYFLY_POLICY"] = os.path.join(os.environ["MAYFLY_HOME"], "policy.yaml")
with open(os.environ["MAYFLY_POLICY"], "w"):
    pass
