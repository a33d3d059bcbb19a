#!/usr/bin/env bash
# Compile a wheel for aarch64 and run it there, emulated: a fit with each method, and the tests
# of the kernels.
#
#   bash ci/aarch64.sh
#
#   PYTHON   an interpreter of the version that Debian has (default: python3)
#   WORK     where packages, wheel and the processor's system go (default: .venv-aarch64)
# Needs Debian with gcc-aarch64-linux-gnu, qemu-user, and `dpkg --add-architecture arm64`.
# Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

tests=$PWD/tests
work=$(mkdir -p "${WORK:-.venv-aarch64}" && cd "${WORK:-.venv-aarch64}" && pwd)
python=${PYTHON:-python3}
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
triplet=aarch64-linux-gnu
root=$work/root

# The other processor's Python and what it is linked with, unpacked and not installed.
if [ ! -x "$root/usr/bin/python$version" ]; then
  mkdir -p "$work/debs" "$root"
  (
    cd "$work/debs"
    apt-get download "python$version:arm64" "python$version-minimal:arm64" \
      "libpython$version:arm64" "libpython$version-dev:arm64" "libpython$version-minimal:arm64" \
      "libpython$version-stdlib:arm64" libbz2-1.0:arm64 libc6:arm64 libexpat1:arm64 libffi8:arm64 \
      libgcc-s1:arm64 libgomp1:arm64 liblzma5:arm64 libsqlite3-0:arm64 libssl3t64:arm64 \
      libstdc++6:arm64 libuuid1:arm64 libzstd1:arm64 zlib1g:arm64
    for package in *.deb; do dpkg -x "$package" "$root"; done
  )
  [ -e "$root/lib" ] || ln -s usr/lib "$root/lib"
fi

tools=$work/tools
[ -x "$tools/bin/python" ] || "$python" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --upgrade "pip>=24" "cython>=3.3" setuptools wheel

# CPython's own way to build for another machine: its description in place of ours.
rm -rf "$work/src" "$work/wheels"
mkdir -p "$work/src" "$work/described"
git ls-files -z | xargs -0 cp --parents -t "$work/src"
cp "$root/usr/lib/python$version/_sysconfigdata__linux_$triplet.py" "$work/described"
include=$root/usr/include
(
  cd "$work/src"
  # Debian's pyconfig.h includes another one, by the processor's name.
  env _PYTHON_HOST_PLATFORM=linux-aarch64 \
    "_PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata__linux_$triplet" "PYTHONPATH=$work/described" \
    "CC=$triplet-gcc -I$include -I$include/python$version" "LDSHARED=$triplet-gcc -shared" \
    "$tools/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work/wheels" .
)
wheel=$(echo "$work"/wheels/fasttsne-*linux_aarch64.whl)

"$tools/bin/python" -m pip install --quiet --upgrade --target "$work/packages" \
  --only-binary :all: --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 \
  --python-version "$version" --implementation cp --abi "cp${version/./}" --abi abi3 --abi none \
  numpy scipy pytest hypothesis
# What is compiled here has the tag of no platform that pip would take for another machine.
"$tools/bin/python" -m zipfile -e "$wheel" "$work/packages"

export PYTHONPATH=$work/packages OMP_NUM_THREADS=2
unset OPENBLAS_CORETYPE
cd "$work"
# Without scalable vectors: with those of the emulator OpenBLAS itself gives wrong products.
emulated=(qemu-aarch64 -cpu neoverse-n1 -L "$root" -E "LD_LIBRARY_PATH=$root/usr/lib/$triplet" "$root/usr/bin/python$version")
"${emulated[@]}" -c 'import platform; assert platform.machine() == "aarch64"'
"${emulated[@]}" "$tests/../ci/small_fits.py"
"${emulated[@]}" -m pytest -q -p no:cacheprovider -c "$tests/../pyproject.toml" \
  --rootdir "$tests/.." "$tests/kernels" "$@"
