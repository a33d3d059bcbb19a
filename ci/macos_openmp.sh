#!/usr/bin/env bash
# Put LLVM's OpenMP library, built for old versions of macOS, where the wheels' build looks.
#
# Homebrew builds its own for the system that it runs on, and a wheel that holds a copy
# of that one can be installed nowhere older.
set -euo pipefail

prefix=${1:-$HOME/openmp}
brew install micromamba
micromamba create --yes --quiet --prefix "$prefix" --channel conda-forge --override-channels "llvm-openmp=19"
ls "$prefix/lib/libomp.dylib" "$prefix/include/omp.h"
