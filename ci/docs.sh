#!/usr/bin/env bash
# Build the documentation without warnings; tests/test_docs.py runs its examples.
#
#   PYTHON   the interpreter to use (default: python3)
#   VENV     where the environment goes (default: .venv-docs)
#   OUTPUT   where the pages go (default: docs/_build)
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv-docs}
output=${OUTPUT:-docs/_build}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade "pip>=24"
"$venv/bin/python" -m pip install --quiet ".[docs]"
# Not python -m: the installed package is documented, not the sources, whose kernels are not compiled.
"$venv/bin/sphinx-build" -W --keep-going -q -b html docs "$output/html"
echo "$output/html/index.html"
