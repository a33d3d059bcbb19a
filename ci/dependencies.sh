#!/usr/bin/env bash
# The quick tests with other NumPys and SciPys than pip would choose.
#
#   bash ci/dependencies.sh oldest   the oldest ones that pyproject.toml claims
#   bash ci/dependencies.sh newest   the newest, pre-releases among them
#
#   VENV   where the environment goes (default: .venv-oldest or .venv-newest)
# PYTHON and further arguments are those of ci/test.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-}
export VENV=${VENV:-.venv-$kind} EXTRAS= PIP_ONLY_BINARY=numpy,scipy
case $kind in
  oldest)
    mkdir -p "$VENV"
    PIP_CONSTRAINT=$(cd "$VENV" && pwd)/oldest.txt
    export PIP_CONSTRAINT
    # dependencies = ["numpy>=2.0", ...] becomes numpy==2.0.0: the first release, not 2.0.x.
    sed -n 's/^dependencies = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '" ' | tr ',' '\n' |
      sed 's/>=\(.*\)/==\1.0/' >"$PIP_CONSTRAINT"
    ;;
  newest) export PIP_PRE=1 ;;
  *) sed -n '2,8s/^# \?//p' "$0" >&2; exit 2 ;;
esac
exec bash ci/test.sh "${@:2}"
