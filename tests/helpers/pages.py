"""Run the code blocks of a page of the documentation, top to bottom.

    python tests/helpers/pages.py docs/choose.rst     # where it runs, blocks write files

Python, in ``code-block:: python`` or as ``>>>`` with results, shares one namespace that starts
empty; ``code-block:: bash`` runs as one script; ``code-block:: text`` right after Python is what
that printed.  A comment before a block is about that block::

    .. needs: scanpy              packages without which it is left out
    .. run by: ci/test.sh         another script of the repository runs it

What was left out is written as JSON on the last line.
"""

import contextlib
import doctest
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Block:
    """Code of one kind (python, bash, text, doctest), the line it starts on, and its marks."""

    kind: str
    line: int
    code: str
    marks: dict


def blocks(page):
    """The blocks of a page's text, in order."""
    lines, marks, i = page.splitlines(), {}, 0
    while i < len(lines):
        start, mark = i, re.fullmatch(r"\.\. (needs|run by): (.*)", lines[i])
        code_block = re.fullmatch(r"\.\. code-block:: (\w+)", lines[i])
        i += 1
        if mark:
            marks[mark[1]] = mark[2].split(", ")
        elif code_block:
            while i < len(lines) and (not lines[i] or lines[i].startswith("    ")):
                i += 1
            code = textwrap.dedent("\n".join(lines[start + 1 : i])).strip("\n")
            skipped = next(n for n, line in enumerate(lines[start + 1 : i]) if line)
            yield Block(code_block[1], start + 2 + skipped, code, marks)
            marks = {}
        elif lines[start].startswith(">>> "):
            while i < len(lines) and lines[i]:
                i += 1
            yield Block("doctest", start + 1, "\n".join(lines[start:i]) + "\n", marks)
            marks = {}


def run(path):
    """Run a page's blocks; return what was left out, as lines of text."""
    namespace, printed, left_out = {"__name__": "__main__"}, None, []
    for block in blocks(Path(path).read_text(encoding="utf-8")):
        where = f"{path}:{block.line}"
        missing = [n for n in block.marks.get("needs", ()) if importlib.util.find_spec(n) is None]
        if missing:
            left_out.append(f"{where} needs {', '.join(missing)}")
        elif "run by" not in block.marks:
            printed = RUNNERS[block.kind](block, where, namespace, printed)
    return left_out


def _python(block, where, namespace, _):
    code = compile("\n" * (block.line - 1) + block.code, where, "exec")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, namespace)
    return output.getvalue()


def _text(block, where, _, printed):
    assert printed is not None, f"{where}: text that no Python before it prints"
    lines = [line.rstrip() for line in printed.strip().splitlines()]
    assert lines == block.code.splitlines(), f"{where}: what is printed is\n{printed}"


def _doctest(block, where, namespace, _):
    examples = doctest.DocTestParser().get_doctest(block.code, {}, where, where, block.line - 1)
    examples.globs = namespace
    failed, _ = doctest.DocTestRunner().run(examples, clear_globs=False)
    assert not failed, where


def _bash(block, where, *_):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{where}: {done.stdout}"


RUNNERS = {"python": _python, "text": _text, "doctest": _doctest, "bash": _bash}

if __name__ == "__main__":
    # A page finds the packages that are installed, not what lies beside this file.
    sys.path.pop(0)
    sys.stdout.write(json.dumps(run(sys.argv[1])) + "\n")
