"""Look into repaired wheels and an sdist: what is there, how large, and for which machines.

    python ci/check_wheel.py FILE...

Needs pyelftools for Linux wheels and, to look at their instructions, objdump.  What is wrong
is printed, and the exit code is 1.
"""

import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

MOST_BYTES = 2_000_000
SOURCES = (".c", ".cpp", ".pyx", ".pxd", ".h")
# Instructions that not every x86-64 has: all with a v in front (AVX and later), and those that
# came with SSE3 to SSE4.2 and BMI.  (tzcnt is left out: older ones run it as bsf.)
BEYOND_X86_64 = re.compile(
    r"\t(v[a-z]\w+|popcnt|lzcnt|andn|bextr|bls(i|r|msk)|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx"
    r"|haddp[sd]|hsubp[sd]|addsubp[sd]|movddup|movs[hl]dup|lddqu|pabs[bwd]|palignr|phadd\w+"
    r"|phsub\w+|pmaddubsw|pmulhrsw|pshufb|psign[bwd]|p?blend\w+|dpp[sd]|extractps|insertps"
    r"|mpsadbw|packusdw|pcmpeqq|pcmpgtq|pcmp[ei]str\w|pextr[bdq]|pinsr[bdq]|pm(ax|in)(s[bd]|u[wd])"
    r"|pmov[sz]x\w+|pmuldq|pmulld|ptest|rounds?[sp]?[sd]|roundp[sd]|crc32\w?|movbe)\s"
)


def main(files):
    """Check each file; return the exit code."""
    failures = 0
    for file in map(Path, files):
        problems, facts = (check_wheel if file.suffix == ".whl" else check_sdist)(file)
        print(f"{file.name}: {', '.join(facts)}")
        for problem in problems:
            print(f"  WRONG: {problem}")
        failures += len(problems)
    return 1 if failures else 0


def check_sdist(file):
    """The sdist has the sources of the kernels and the tests, and nothing generated."""
    with tarfile.open(file) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
        info = archive.extractfile(f"{archive.getnames()[0]}/PKG-INFO").read().decode()
    problems = [f"holds {name}" for name in names if name.endswith((".c", ".so", ".pyc"))]
    for needed in (
        "fasttsne/_kernels/simd/simd8.h",
        "fasttsne/_kernels/repulsion/barnes_hut.pyx",
        "setup.py",
        "tests/kernels/test_barnes_hut.py",
        "tests/conftest.py",
        "ci/wheels.sh",
        "tests/golden/portable.npz",
        "tests/old_files/classical.npz",
        "tests/surface.json",
    ):
        if needed not in names:
            problems.append(f"lacks {needed}")
    if re.search(r"^Dynamic: requires-dist$", info, re.MULTILINE | re.IGNORECASE):
        problems.append("its dependencies depend on the machine that builds it")
    return problems, [f"{file.stat().st_size:,} bytes", f"{len(names)} files"]


def check_wheel(file):
    """A wheel has kernels and no sources, and runs where its tag says that it does."""
    problems, facts = [], [f"{file.stat().st_size:,} bytes"]
    if file.stat().st_size > MOST_BYTES:
        problems.append(f"larger than {MOST_BYTES:,} bytes")
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        for name in names:
            if name.endswith(SOURCES) or "tests/" in name or name.endswith(".pyc"):
                problems.append(f"holds {name}")
        libraries = [n for n in names if re.search(r"\.so(\.|$)", n)]
        metadata = next(n for n in names if n.endswith(".dist-info/METADATA"))
        requires = re.findall(
            r"^Requires-Dist: (.*)$", archive.read(metadata).decode(), re.MULTILINE
        )
        facts.append("needs " + " | ".join(r for r in requires if "extra ==" not in r))
        if "linux" in file.name:
            check_linux(archive, libraries, file.name, problems, facts)
        with tempfile.TemporaryDirectory() as folder:
            if "x86_64" in file.name:
                check_instructions(archive, libraries, folder, problems, facts)
    return problems, facts


def check_linux(archive, libraries, name, problems, facts):
    """The symbol versions that libraries need are those of the glibc in the wheel's tag."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    tag = max(
        ((int(a), int(b)) for a, b in re.findall(r"manylinux_(\d+)_(\d+)_", name)), default=None
    )
    musl = "musllinux" in name
    newest, debug = (0, 0), []
    for library in libraries:
        elf = ELFFile(io.BytesIO(archive.read(library)))
        if elf.get_section_by_name(".debug_info"):
            debug.append(library)
        for section in elf.iter_sections():
            if not isinstance(section, GNUVerNeedSection):
                continue
            for _, versions in section.iter_versions():
                for version in versions:
                    found = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", version.name)
                    if found:
                        newest = max(newest, (int(found[1]), int(found[2])))
    needed = f"glibc {newest[0]}.{newest[1]}" if newest != (0, 0) else "no glibc"
    facts.append(f"{len(libraries)} libraries that need {needed}")
    if debug:
        problems.append(f"debug symbols in {', '.join(debug)}")
    if musl and newest != (0, 0):
        problems.append("a musllinux wheel that needs glibc")
    if not musl and (tag is None or newest > tag):
        problems.append(f"its tag promises glibc {tag}")
    if not musl and newest == (0, 0):
        problems.append("compiled for another C library than the glibc of its tag")


def check_instructions(archive, libraries, folder, problems, facts):
    """Only the kernels in avx2/ have instructions that not every x86-64 runs."""
    if shutil.which("objdump") is None:
        problems.append("there is no objdump to look at its instructions with")
        return
    for library in libraries:
        path = archive.extract(library, folder)
        code = subprocess.run(
            ["objdump", "-d", "--no-show-raw-insn", path],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        beyond = sorted({found[0].strip() for found in BEYOND_X86_64.finditer(code)})
        if "/avx2/" in library:
            if "%zmm" in code or "%k1" in code:
                problems.append(f"AVX-512 in {library}")
            if not beyond:
                problems.append(f"{library} is not compiled for AVX2")
        elif beyond and library.startswith("fasttsne/"):
            problems.append(f"{library} has {', '.join(beyond[:5])}")
        elif beyond:
            facts.append(f"{Path(library).name} has {', '.join(beyond[:5])} behind its own checks")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
