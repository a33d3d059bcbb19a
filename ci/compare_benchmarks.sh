#!/usr/bin/env bash
# Fail if HEAD is more than 15 % slower than BASE, or its maps more than 1 % worse.
#
#   bash ci/compare_benchmarks.sh BASE HEAD [ARGUMENTS OF PYTEST]
#
# Both are built, each into an environment of its own, and run this checkout's
# benchmarks/gate in turn, on one thread, in processor time.  A verdict "slower" is only
# believed if it still stands after twice as many turns.  For speed on several threads, on
# an idle machine: FASTTSNE_JOBS=2 ... -k fit --benchmark-timer=time.perf_counter
#   PYTHON          the interpreter to use (default: python3)
#   TURNS           of each revision (default: 4)
#   FASTTSNE_DATA   a folder that holds mnist/; without it rows are synthetic
set -euo pipefail
# Threads of NumPy's that wait for work would spend processor time.
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}

[ $# -ge 2 ] || { sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
turns=${TURNS:-4}
work=$(mktemp -d)

clean_up() {
  for side in base head; do
    git -C "$root" worktree remove --force "$work/$side" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap clean_up EXIT

# build SIDE REVISION: check it out and install it into $work/SIDE-env.
build() {
  echo "building $1, $(git -C "$root" log -1 --format='%h %s' "$2") ..."
  git -C "$root" worktree add --quiet --detach "$work/$1" "$2"
  "$python" -m venv "$work/$1-env"
  "$work/$1-env/bin/python" -m pip install --quiet "pytest>=8" "pytest-benchmark>=5" \
    "$work/$1" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 2; }
}

# run SIDE TURN: one turn; what fails is left out of its results, which the verdict sees.
run() {
  (cd "$work" && "$work/$1-env/bin/python" -m pytest -q "$root/benchmarks/gate" \
    --benchmark-json="$work/$1-$2.json" ${arguments[@]+"${arguments[@]}"} >"$work/log" 2>&1) ||
    { echo "$1 did not run everything:"; grep -E '^(E  |FAILED|ERROR)' "$work/log" | tail; }
}

build base "$1"
build head "$2"
shift 2
arguments=("$@")
start=$SECONDS
for turn in $(seq $((2 * turns))); do
  # Who goes first changes from turn to turn.
  if ((turn % 2)); then run base "$turn"; run head "$turn"; else run head "$turn"; run base "$turn"; fi
  if ((turn == turns)); then
    "$python" "$root/ci/benchmark_verdict.py" "$work" && exit
    echo "again, to be sure ..."
  fi
done
echo "$((2 * turns)) turns each, $((SECONDS - start)) s"
"$python" "$root/ci/benchmark_verdict.py" "$work"
