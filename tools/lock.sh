#!/bin/sh
# Write requirements/*.txt anew: every package with its hashes, no index address. Needs uv.
# chdb-core asks for data frame libraries that are never imported; they are left out (see analytics/engine.py).
set -eu
cd "$(dirname "$0")/.."
lock() {
    out="$1"
    shift
    uv pip compile pyproject.toml --extra postgresql --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate --quiet --output-file "$out" \
        --no-emit-package numpy --no-emit-package pandas --no-emit-package pyarrow --no-emit-package python-dateutil "$@"
}
lock requirements/runtime.txt
lock requirements/dev.txt --group dev
uv pip compile --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --no-annotate --quiet --output-file requirements/build.txt
