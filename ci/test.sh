#!/usr/bin/env bash
# Make an environment, build and install the package with its test extra, run the tests.
#
#   PYTHON   the interpreter to use (default: python3)
#   VENV     where the environment goes (default: .venv-test)
#   EXTRAS   further extras to install, such as hnsw,pynndescent: a compiler is needed for
#            the first, and the second compiles for two minutes when its tests run
# Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv-test}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade "pip>=24"
# Annoy has no wheels: where it does not compile, its tests are skipped and say so.
"$venv/bin/python" -m pip install --quiet ".[test${EXTRAS:+,$EXTRAS}]" 2>"$venv/pip.log" || {
  cat "$venv/pip.log" >&2
  exit 1
}
# Away from the checkout, so that the installed package is tested, not the sources.
tests=$PWD/tests
if [ -z "${FASTTSNE_DATA:-}" ] && [ -d ../shared/data ]; then
  FASTTSNE_DATA=$(cd ../shared/data && pwd)
  export FASTTSNE_DATA
fi
config=$PWD/pyproject.toml
python=$(cd "$(dirname "$venv/bin/python")" && pwd)/python
cd "$venv"
exec "$python" -m pytest -c "$config" --rootdir "$(dirname "$config")" -p no:cacheprovider "$tests" "$@"
