#!/usr/bin/env bash
# Build the kernels with sanitizers and run the tests on them; what is found ends the run.
#
#   bash ci/sanitize.sh address   out of bounds, used after it was freed, undefined (overflow,
#                                 shifts, null or misaligned pointers):
#                                 AddressSanitizer and UndefinedBehaviorSanitizer of GCC
#   bash ci/sanitize.sh thread    two threads at one place, one of them writing:
#                                 ThreadSanitizer with LLVM's OpenMP, to which Archer explains
#                                 the barriers; GCC's OpenMP explains nothing and would be blamed
#
#   PYTHON   the interpreter to use (default: python3)
#   VENV     where the environment goes (default: .venv-address or .venv-thread)
#   CLANG    for threads (default: clang); its libomp and libarcher are needed, and GCC's libtsan
# Arguments after the kind go to pytest, which runs elsewhere, in place of the tests named below.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
tests=$root/tests
kind=$1
shift
case $kind in
  address)
    sanitizers=address,undefined
    # The libraries come before all others; that of C++ too, which exceptions go through.
    libraries=(libasan.so libubsan.so libstdc++.so)
    # CPython frees little when it ends: for leaks there is ci/leaks.py.
    options=(
      ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
      # Each of Python's objects is then an allocation with bounds of its own.
      PYTHONMALLOC=malloc
    )
    finding=heap-buffer-overflow
    # Limits on memory make no sense: the sanitizer reserves terabytes of addresses.
    chosen=(
      "$tests"/{affinity,embedding,kernels,linalg,metrics,nearest_neighbors,objective,optimize}
      "$tests"/{reports,repulsion,runtime}
      "$tests"/robustness/test_{arrays,extreme_numbers,faults,refused_input}.py
      "$tests"/test_{aligned,initialization,layouts,tsne}.py
      --deselect tests/robustness/test_faults.py::test_no_memory
      --deselect tests/robustness/test_faults.py::test_full_disks
      --deselect tests/runtime/test_threads.py::test_threads_that_the_system_does_not_start
      --deselect tests/runtime/test_control_groups.py
      # They try what Python writes during 3,000 iterations, which take a minute each here.
      --deselect tests/runtime/test_progress.py::test_progress_
      # Their limits of a second are not for kernels that are several times slower; signals at
      # random moments are sent by test_faults.py, too.
      --deselect tests/runtime/test_signals.py::test_ctrl_c_in_each_stage
      --deselect tests/runtime/test_signals.py::test_signals_are_noticed_in_time
      --deselect tests/runtime/test_signals.py::test_kernels_look_for_signals
      --deselect tests/nearest_neighbors/test_search.py::test_approx_on_a_file_larger_than_the_memory_allowed
    )
    ;;
  thread)
    sanitizers=thread
    export CC=${CLANG:-clang}
    export LDSHARED="$CC -shared"
    libraries=(libtsan.so)
    options=(
      "OMP_TOOL_LIBRARIES=$("$CC" -print-file-name=libarcher.so)"
      # NumPy, SciPy and CPython are not instrumented: what they do between threads is not seen.
      TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1:exitcode=66
    )
    finding="data race"
    chosen=(
      "$tests"/{embedding,kernels,metrics,objective,repulsion}
      "$tests"/test_{aligned,tsne}.py
      # A million rows do not end within its time, and ThreadSanitizer's own memory is counted.
      --deselect tests/embedding/test_new_rows.py::test_memory_does_not_grow_with_the_rows
    )
    ;;
  *)
    echo "address or thread, not $kind" >&2
    exit 2
    ;;
esac

venv=${VENV:-.venv-$kind}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
venv=$(cd "$venv" && pwd)
python=$venv/bin/python
"$python" -m pip install --quiet --upgrade "pip>=24"
# A copy is built, so that no object made with other flags is reused, here or by later builds.
rm -rf "$venv/src"
mkdir "$venv/src"
git ls-files -z | xargs -0 cp --parents -t "$venv/src"
FASTTSNE_SANITIZE=$sanitizers "$python" -m pip install --quiet "$venv/src[test]"

preload=$(for name in "${libraries[@]}"; do gcc "-print-file-name=$name"; done)
watched=(env "${options[@]}" "LD_PRELOAD=${preload//$'\n'/:}")
# ThreadSanitizer's shadow wants addresses where they are without randomisation.
[ "$kind" != thread ] || watched+=(setarch -R)
cd "$venv"

# A kernel that is given an array too small, and one that writes over what it reads, must be
# seen: else the rest would show nothing.
if "${watched[@]}" "$python" - "$kind" >"$venv/proof.log" 2>&1 <<'PY'
import sys
import numpy as np
import scipy.sparse as sp
from fasttsne._kernels import load_level
from fasttsne.objective.edges import RowBlock, edges_of, pack_edges
from fasttsne.repulsion import padded_columns
if sys.argv[1] == "address":
    kernel, n = load_level("portable", "exact_repulsion"), 5000
    y, sums = np.ones((n, 2), np.float32), np.empty(kernel.count_blocks(n))
    kernel.exact_repulsion(y, padded_columns(y), y[:4000].copy(), 1.0, sums, 2)
else:
    n = 200_000  # enough that both threads have woken up before all is done
    y, order = np.ones((n, 2), np.float32), np.arange(n, dtype=np.int32)
    columns = np.random.default_rng(0).integers(0, n, 8 * n, np.int32)
    P = sp.csr_matrix((np.ones(8 * n, np.float32), columns, np.arange(0, 8 * n + 1, 8)))
    edges = pack_edges([RowBlock(edges_of(P, "P"), order)], order, 1.0, 2)
    for _ in range(10):
        load_level("portable", "attraction").attraction(*edges, y, y, 1.0, False, 2)
PY
then
  echo "a fault made on purpose went unseen" >&2
  exit 1
fi
grep -q "$finding" "$venv/proof.log" || { cat "$venv/proof.log" >&2; exit 1; }

[ "$kind" != thread ] || "${watched[@]}" "$python" "$root/ci/busy_threads.py"
[ $# -gt 0 ] || set -- "${chosen[@]}"
exec "${watched[@]}" "$python" -m pytest -q -c "$root/pyproject.toml" --rootdir "$root" \
  -p no:cacheprovider "$@"
