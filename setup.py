"""Build the kernels; everything else about the package stands in pyproject.toml.

Environment variables:
  FASTTSNE_DEBUG=1       bounds checks in the kernels and no optimisation
  FASTTSNE_NO_OPENMP=1   build without threads, as on a machine that lacks OpenMP
  FASTTSNE_SANITIZE=...  sanitizers of GCC or Clang, such as address,undefined: see ci/sanitize.sh
  SOURCE_DATE_EPOCH=...  seconds since 1970: what is built again has the same bytes, the sdist too
"""

import copy
import gzip
import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.errors import CompileError, ExecError, LinkError

KERNELS = "fasttsne/_kernels"

# Cython's own functions, such as those of memoryviews, once for all kernels.
SHARED = "fasttsne._kernels._cyutility"
# GROUP/NAME.pyx becomes C once; the C is compiled for each SIMD level, as LEVEL/NAME.
SIMD_KERNELS = [
    "fft/fft_convolve",
    "fft/row_fft",
    "graph/attraction",
    "graph/local_radii",
    "graph/perplexity",
    "knn/knn_dense",
    "knn/knn_sparse",
    "knn/neighbor_ranks",
    "knn/rank_counts",
    "knn/rerank",
    "linalg/gram",
    "optimize/coordinates",
    "optimize/gradient_step",
    "optimize/leave_one_out",
    "optimize/morton",
    "repulsion/barnes_hut",
    "repulsion/exact_repulsion",
    "repulsion/particle_mesh",
]
# Compiled once: no vector instructions to gain from, or to ask about.
PLAIN_KERNELS = [
    "cpu",
    "drawing/raster",
    "graph/csr",
    "graph/packed_edges",
    "knn/exact_order",
    "knn/neighbor_lists",
    "optimize/follow",
    "optimize/hat_grid",
    "optimize/row_descent",
    "repulsion/pair_counts",
]
# Loops that wait for memory, or are no part of an iteration.
COMPACT_KERNELS = {
    "coordinates",
    "csr",
    "exact_order",
    "follow",
    "hat_grid",
    "local_radii",
    "neighbor_lists",
    "neighbor_ranks",
    "pair_counts",
    "rank_counts",
    "raster",
    "row_descent",
}
# Of the level for processors of before 2013, what takes a small part of a fit.
SMALL_PORTABLE_KERNELS = {
    "coordinates",
    "exact_repulsion",
    "gradient_step",
    "gram",
    "knn_sparse",
    "leave_one_out",
    "local_radii",
    "morton",
    "neighbor_ranks",
    "perplexity",
    "rank_counts",
    "rerank",
}
# C headers that kernels include, which Cython does not look for changes in.
HEADERS = [f"{KERNELS}/threads.h", f"{KERNELS}/simd/simd8.h"]

DEBUG = os.environ.get("FASTTSNE_DEBUG") == "1"
SANITIZE = os.environ.get("FASTTSNE_SANITIZE")
# Who builds for another processor tells Python so, by this variable of its own.
MACHINE = os.environ.get("_PYTHON_HOST_PLATFORM", "").rpartition("-")[2] or platform.machine()
CROSS = platform.machine() != MACHINE
# One wheel for all versions: 3.11 brought buffers into the stable ABI, and Python without a lock
# has none yet.  It costs 0.3 microseconds a call of a kernel; an iteration makes about ten.
STABLE_ABI = sys.version_info >= (3, 11) and not sysconfig.get_config_var("Py_GIL_DISABLED")
HAS_AVX2 = MACHINE.lower() in {"x86_64", "amd64"} and sys.maxsize > 2**32

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    # Kernels have no state of their own, and work on what the caller allocated.
    "freethreading_compatible": True,
}

OPENMP_PROGRAM = """
#include <omp.h>
#include <stdio.h>
int main(void) {
    int n = 0;
    #pragma omp parallel num_threads(2) reduction(+:n)
    n += 1;
    printf("threads %d", n);
    return n < 1;
}
"""


def extension(name, source):
    """One module of the kernels, without flags: they depend on the compiler and are added later."""
    return Extension(
        f"{KERNELS}/{name}".replace("/", "."),
        [f"{KERNELS}/{source}"],
        include_dirs=[KERNELS, f"{KERNELS}/simd"],
        depends=HEADERS,
        py_limited_api=STABLE_ABI,
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
    )


def extensions():
    """Every extension, its C generated."""
    kernels = PLAIN_KERNELS + SIMD_KERNELS
    generated = cythonize(
        [extension("_cyutility", "_cyutility.c")]
        + [extension(kernel, f"{kernel}.pyx") for kernel in kernels],
        compiler_directives=DIRECTIVES,
        shared_utility_qualified_name=SHARED,
        nthreads=0 if sys.platform in {"win32", "darwin"} else os.cpu_count(),
    )
    levels = ["portable", "avx2"] if HAS_AVX2 else ["portable"]
    return generated[: 1 + len(PLAIN_KERNELS)] + [
        extension(f"{level}/{Path(kernel).name}", f"{kernel}.c")
        for level in levels
        for kernel in SIMD_KERNELS
    ]


def optimization(name):
    """Flags in place of -O3 where time does not depend on it: less to download."""
    if name in {SHARED, f"{KERNELS}.cpu".replace("/", ".")}:
        return ["-Os"]  # called once for an array, or once
    # Processors of before 2013 take the portable level, where there is another one.
    is_rare, kernel = HAS_AVX2 and ".portable." in name, name.rpartition(".")[2]
    if is_rare and kernel in SMALL_PORTABLE_KERNELS:
        return ["-Os"]
    return ["-O2"] if is_rare or kernel in COMPACT_KERNELS else []


class BuildKernels(build_ext):
    """Adds the flags that this compiler understands, after trying them."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        msvc = self.compiler.compiler_type == "msvc"
        openmp = self.probe_openmp(msvc)
        if openmp is None:
            print("fasttsne: OpenMP did not compile, link and run: building without threads")
        compile_openmp, link_openmp = openmp or ([], [])
        for extension in self.extensions:
            extension.extra_compile_args += compile_openmp
            extension.extra_link_args += link_openmp
            if msvc:
                extension.extra_compile_args += ["/Od" if DEBUG else "/O2"]
            else:
                # Python's own flags ask for debug symbols, nine tenths of a library's size.
                extension.extra_compile_args += ["-O0", "-g"] if DEBUG else ["-O3", "-g0"]
                # The kernels do not read errno or trap on floating-point exceptions.
                extension.extra_compile_args += ["-fno-math-errno", "-fno-trapping-math"]
            if SANITIZE:
                sanitize = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
                extension.extra_compile_args += [*sanitize, "-O1", "-g", "-fno-omit-frame-pointer"]
                extension.extra_link_args += sanitize
            if ".avx2." in extension.name:
                extension.extra_compile_args += ["/arch:AVX2"] if msvc else ["-mavx2", "-mfma"]
            if not (msvc or DEBUG):
                extension.extra_compile_args += optimization(extension.name)
            if not (msvc or DEBUG or SANITIZE):
                # Tables for exceptions of C++ and for debuggers, a twentieth of a wheel.
                extension.extra_compile_args += ["-fno-asynchronous-unwind-tables"]
                extension.extra_compile_args += ["-ffunction-sections"]
            if sys.platform == "linux" and not (DEBUG or SANITIZE):
                # Names of functions, a tenth of a wheel, and numbers that debuggers look for.
                extension.extra_link_args += ["-s", "-Wl,--build-id=none", "-Wl,--gc-sections"]
        super().build_extensions()

    def build_extension(self, extension):
        """Compile and link one; in a folder of its own, as both levels have the same C files."""
        command = copy.copy(self)
        command.build_temp = os.path.join(self.build_temp, extension.name)
        super(BuildKernels, command).build_extension(extension)

    def probe_openmp(self, msvc):
        """Compile, link and run a program with each candidate's flags; the first that works.

        What is for another processor is not run.  Returns (compile flags, link flags), or None.
        """
        if os.environ.get("FASTTSNE_NO_OPENMP") == "1":
            return None
        if msvc:
            candidates = [(["/openmp"], [])]
        elif sys.platform == "darwin":
            candidates = [(["-Xpreprocessor", "-fopenmp"], ["-lomp"]), (["-fopenmp"], ["-fopenmp"])]
        else:
            candidates = [(["-fopenmp"], ["-fopenmp"])]
        for flags in candidates:
            if self.runs(OPENMP_PROGRAM, *flags):
                return flags
        return None

    def runs(self, program, compile_flags, link_flags):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=compile_flags
                )
                # They may name the library's folder; setuptools uses them for modules alone.
                link_flags = [*shlex.split(os.environ.get("LDFLAGS", "")), *link_flags]
                self.compiler.link_executable(
                    objects, "probe", output_dir=folder, extra_postargs=link_flags
                )
                if CROSS:
                    return True
                executable = Path(folder, self.compiler.executable_filename("probe"))
                output = subprocess.run(
                    [executable], check=True, capture_output=True, text=True, timeout=60
                ).stdout
            except (CompileError, LinkError, ExecError, OSError, subprocess.SubprocessError):
                return False
        return output.startswith("threads")


class ReproducibleSdist(sdist):
    """An archive of the files' names and bytes alone, where SOURCE_DATE_EPOCH gives the time."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **owner):
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, **owner)

        def without_origin(member):
            member.mtime = int(epoch)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            return member

        path = f"{base_name}.tar.gz"
        self.mkpath(os.path.dirname(path))
        with (
            gzip.GzipFile(path, "wb", mtime=int(epoch)) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            archive.add(base_dir, filter=without_origin)
        return path


class ReproducibleWheel(bdist_wheel):
    """A wheel whose files have the same permissions whatever those of the checkout are."""

    def write_wheelfile(self, *arguments, **named):
        super().write_wheelfile(*arguments, **named)  # the last file before they are packed
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


# Python 3.14 starts Cython's processes by importing this file.
if __name__ == "__main__":
    setup(
        ext_modules=extensions(),
        cmdclass={
            "bdist_wheel": ReproducibleWheel,
            "build_ext": BuildKernels,
            "sdist": ReproducibleSdist,
        },
        options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
    )
