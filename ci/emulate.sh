#!/usr/bin/env bash
# Run the package, as a wheel installs it, on an emulated processor without AVX2.
#
#   bash ci/emulate.sh ENVIRONMENT
#
#   ENVIRONMENT   a virtual environment with the installed wheel and pytest, as ci/wheels.sh leaves
#   CPU           the processor, of those that `qemu-x86_64 -cpu help` names (default: Nehalem;
#                 the least that NumPy's own wheels run on is x86-64-v2)
# Arguments after the environment are passed on to pytest.
set -euo pipefail

python=$(cd "$1/bin" && pwd)/python
shift
tests=$(cd "$(dirname "$0")/.." && pwd)/tests
emulated=(qemu-x86_64 -cpu "${CPU:-Nehalem}" "$(readlink -f "$python")")
# The emulator is given the interpreter itself, which then needs to be told where it lives.
export PYTHONPATH
PYTHONPATH=$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
export OMP_NUM_THREADS=2
# NumPy's OpenBLAS would run the code of the processor that this names, not of the emulated one.
unset OPENBLAS_CORETYPE
cd "$(dirname "$python")"

"${emulated[@]}" - <<'PY'
from fasttsne import _kernels

assert not _kernels.cpu.has_avx2(), "this processor has AVX2: nothing would be shown"
assert _kernels._available_levels() == ("portable",)
PY
"${emulated[@]}" "$tests/../ci/small_fits.py"

# The emulator itself must refuse what the portable kernels must not have: the AVX2 build.
if FASTTSNE_SIMD=avx2 "${emulated[@]}" -c "import fasttsne" 2>/dev/null; then
  echo "the AVX2 kernels were loaded on a processor without AVX2" >&2
  exit 1
fi
status=0
"${emulated[@]}" - 2>/dev/null <<'PY' || status=$?
import numpy as np
from fasttsne._kernels import load_level
kernel = load_level("avx2", "exact_repulsion")
y = np.random.default_rng(0).normal(size=(64, 2)).astype("f4")
columns, out = np.ascontiguousarray(y.T), np.empty_like(y)
kernel.exact_repulsion(y, columns, out, 1.0, np.empty(kernel.count_blocks(64)), 1)
PY
if [ $status != $((128 + $(kill -l ILL))) ]; then
  echo "AVX2 code was not refused by the emulated processor: it proves nothing" >&2
  exit 1
fi
"${emulated[@]}" -m pytest -q -p no:cacheprovider -c "$tests/../pyproject.toml" \
  --rootdir "$tests/.." "$tests/kernels" "$@"
