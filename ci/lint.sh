#!/usr/bin/env bash
# Style, spelling and types, in an environment of their own.
#
#   PYTHON   the interpreter to use (default: python3)
#   VENV     where the environment goes (default: .venv-lint)
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv-lint}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade "pip>=24"
"$venv/bin/python" -m pip install --quiet \
  "ruff>=0.13" "cython-lint>=0.16" "codespell>=2.4" "mypy>=1.15" "numpy>=2.0" "scipy>=1.13"

# cython-lint calls pycodestyle by its name.
PATH=$(cd "$venv/bin" && pwd):$PATH
git ls-files -z '*.py' | xargs -0 "$venv/bin/ruff" check
git ls-files -z '*.py' | xargs -0 "$venv/bin/ruff" format --check
git ls-files -z '*.pyx' '*.pxd' | xargs -0 "$venv/bin/cython-lint"
git ls-files -z '*.py' '*.pyx' '*.pxd' '*.h' '*.rst' '*.sh' '*.toml' | xargs -0 "$venv/bin/codespell"
"$venv/bin/mypy"
