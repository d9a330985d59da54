#!/usr/bin/env bash
# Runs the reference's example of a test unchanged, with its own image store.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MAYFLY_HOME=$(mktemp -d)
trap 'rm -rf --one-file-system "$MAYFLY_HOME"' EXIT
export MAYFLY_HOME MAYFLY=$root/bin/mayfly PYTHONPATH=$root/sdk/python/src PYTHONDONTWRITEBYTECODE=1

"$MAYFLY" image load "$root/.build/images/python.tar"
cd "$root/examples/deployment-checker"
python3 -m unittest -v test_deployment_tool
