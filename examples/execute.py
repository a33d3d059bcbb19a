"""Execute the notebooks of this folder: CI does so with few rows, before a commit with all.

    python examples/execute.py                  # all of them, in place
    python examples/execute.py simple_usage     # one

Needs nbclient and ipykernel (the extra ``test``).  Images are reduced to 64 colors, and
metadata of the machine and the date is removed.
"""

import base64
import io
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
N_COLORS = 64


def execute(path, timeout: int = 1800):
    """Return the notebook of a file, executed in its folder.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=timeout, kernel_name="python3")
    client.execute(cwd=str(Path(path).parent))
    return notebook


def compact(notebook) -> None:
    """Reduce the outputs, and remove what depends on the machine."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _with_few_colors(output.data["image/png"])
                output.metadata = {}


def _with_few_colors(png: str) -> str:
    from PIL import Image

    file = io.BytesIO()
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    image.quantize(N_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        file, "PNG", optimize=True
    )
    return base64.b64encode(file.getvalue()).decode()


def main(names) -> None:
    import nbformat

    for path in [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb")):
        notebook = execute(path)
        compact(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
