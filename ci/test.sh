#!/usr/bin/env bash
# Make an environment, build and install the package with its test extra, run the tests that are not
# marked as slow, on all cores; where EXTRAS is "all", then those that are, and at last, one after
# the other, those that measure time, memory or processes (marked as alone).
#
#   PYTHON   the interpreter to use (default: python3)
#   VENV     where the environment goes (default: .venv-test)
#   EXTRAS   further extras, such as "hnsw pynndescent" (default: none); "all": every one, and
#            Chromium with its driver from Debian where root runs this; then a skipped test fails
#            unless tests/helpers/skips.py has the reason
# Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv-test}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
python=$(cd "$venv/bin" && pwd)/python
# Python compiles what the tests import, a small part of what is installed.
install() { "$python" -m pip install --quiet --no-compile "$@" >"$venv/pip.log" 2>&1; }

install --upgrade "pip>=24" && install ".[test]" || { cat "$venv/pip.log" >&2; exit 1; }
extras=${EXTRAS-}
missing=
if [ "$extras" = all ]; then
  export FASTTSNE_ALL_EXTRAS=1
  extras=$(cd "$venv" && "$python" -c '
from importlib.metadata import metadata
print(*sorted({*metadata("fasttsne").get_all("Provides-Extra")} - {"test", "lint"}))')
  if ! command -v chromedriver >"$venv/apt.log"; then
    { apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; } \
      >"$venv/apt.log" 2>&1 || { tail -n 3 "$venv/apt.log" >&2; missing=chromium; }
  fi
fi
# The package is installed: only what its extras need is fetched.  One that fails must not take
# the others with it.
if [ -n "$extras" ] && ! install "fasttsne[${extras// /,}]"; then
  for extra in $extras; do
    install "fasttsne[$extra]" || { tail -n 3 "$venv/pip.log" >&2; missing+=" $extra"; }
  done
fi
[ -z "$missing" ] || echo "COULD NOT BE INSTALLED, so its tests are skipped: $missing" >&2
export FASTTSNE_NOT_INSTALLED=$missing

# Away from the checkout, so that the installed package is tested, not the sources.
tests=$PWD/tests
if [ -z "${FASTTSNE_DATA:-}" ] && [ -d ../shared/data ]; then
  FASTTSNE_DATA=$(cd ../shared/data && pwd)
  export FASTTSNE_DATA
fi
config=$PWD/pyproject.toml
cd "$venv"
run_tests() {
  "$python" -m pytest -c "$config" --rootdir "$(dirname "$config")" -p no:cacheprovider \
    -p no:zarr "$tests" "$@"  # it imports the package in each process
}
# Some hundred processes import the package: what one has compiled serves the others.
unset PYTHONDONTWRITEBYTECODE
# Each process of the tests has a core: more threads of BLAS would wait for each other, and waiting
# threads of OpenMP must not take the core from the others.
export OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive
if [ "${EXTRAS-}" != all ]; then
  run_tests -m "not slow" -n auto "$@"
  exit
fi
failed=0
some() { run_tests "$@" || [ $? = 5 ] || failed=1; }  # 5: the arguments name no such test
some -m "not slow and not alone" -n auto "$@"
some -m "slow and not alone" -n auto "$@"
unset OPENBLAS_NUM_THREADS OMP_WAIT_POLICY
some -m alone "$@"
exit $failed
