#!/usr/bin/env bash
# The README's first command in a fresh clone of HEAD; then what a reader tries there: Python
# started in the checkout, python -m fasttsne, the name of 2018, the notebooks of examples/, and
# whatever else the README names.
#
#   PYTHON   the interpreter to use (default: python3)
#   WORK     where the clone goes; it must not exist (default: a temporary folder, removed at the end)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

work=${WORK:-$(mktemp -d)/clone}
[ -n "${WORK:-}" ] || trap 'rm -rf "$(dirname "$work")"' EXIT
git clone --quiet "$root" "$work"
cd "$work"
# Nothing but the clone may provide the package.
unset PYTHONPATH VIRTUAL_ENV
export MPLBACKEND=Agg

command=$(sed -n 's/^ *python3 \(-m venv .*\)/\1/p' README.rst)
[ -n "$command" ] || { echo "README.rst has no first command" >&2; exit 1; }
echo "== python3 $command"
eval "${PYTHON:-python3} $command"
ls -s embedding.npy embedding.png
python=$work/.venv/bin/python

# try FOLDER ARGUMENTS: Python started in a folder of the clone; what it imports is the clone.
try() {
  echo "== in ${1:-the checkout}: python ${*:2}"
  (cd "$work/$1" && "$python" "${@:2}")
}
try "" -m fasttsne config
for folder in "" examples docs ..; do
  try "$folder" -c 'import sys, fasttsne, fastTSNE
from fastTSNE import TSNE
from fastTSNE.callbacks import ErrorLogger
assert fasttsne.__file__.startswith(sys.argv[1]), fasttsne.__file__
assert TSNE is fasttsne.TSNE' "$work/"
done

"$python" -m pip install --quiet "nbclient>=0.10" "ipykernel>=6.29"
export FASTTSNE_EXAMPLES_ROWS=1000
try "" examples/execute.py simple_usage
# The notebook of 2018 shows MNIST, which a machine may not have.
if [ -d "${FASTTSNE_DATA:-/nowhere}/mnist" ]; then try "" examples/execute.py animation; fi

# What else the README names; tests/test_docs.py compares.
try "" tests/helpers/pages.py README.rst
try "" benchmarks/compare.py --help
if [ -d "${FASTTSNE_DATA:-/nowhere}/mnist" ]; then
  try "" benchmarks/figures.py --data mnist --programs fasttsne-auto
  try "" docs/make_pictures.py mnist
else
  try "" benchmarks/figures.py --help
fi
echo "== bash ci/docs.sh"
bash ci/docs.sh
# And bash ci/test.sh, which .ci/run runs after this.
echo "the README's first command leaves a checkout that works: $("$python" --version)"
