"""What the commands draw, and the checks before a fit that it can be written."""

import numpy as np

from fasttsne import animation, files, plotting
from fasttsne.drawing.page import HTML_EXTENSIONS
from fasttsne.drawing.scatter import IMAGE_EXTENSIONS, unmanaged_axes
from fasttsne.drawing.writers import WRITERS, find_writer
from fasttsne.io import embedding_file
from fasttsne.io.atomic import atomic_write
from fasttsne.utils import require


def check_outputs(options):
    """Raise before the fit what would otherwise fail after it."""
    files.check_output(options.output)
    for path in (getattr(options, name, None) for name in ("checkpoint", "save")):
        if path:
            files.check_output(path, (".npz",))
    for name in ("plot", "html", "animate"):
        n_components = getattr(options, "n_components", 2)
        if getattr(options, name) and n_components != 2:
            raise ValueError(f"--{name} needs --n-components 2; got {n_components}")
    if options.plot:
        files.check_output(options.plot, IMAGE_EXTENSIONS)
        require("matplotlib", "--plot", "plot")
    if options.html:
        files.check_output(options.html, HTML_EXTENSIONS)
        require("plotly", "--html", "html")
    if options.animate:
        files.check_output(options.animate, tuple(WRITERS))
        find_writer(options.animate)


def write_outputs(options, embedding, labels, frames):
    """Write the files of a fit that were requested in addition to the embedding."""
    points = np.asarray(embedding)
    for path in filter(None, (options.plot, options.html)):
        write_drawing(points, labels, path)
    if options.animate:
        write_animation(frames, labels, options.animate, progress=not options.quiet)


def save_embedding(options, embedding, columns):
    """Write the file of ``--save``, if it is requested; the names of columns are kept."""
    if options.save:
        embedding_file.save(embedding, options.save, keep=options.keep, columns=columns)
        print(f"wrote {options.save}")


def write_drawing(points, labels, path):
    """Draw an embedding to an image or an HTML file."""
    if path.suffix.lower() in HTML_EXTENSIONS:
        plotting.html(points, labels=labels, path=path)
    else:
        ax = plotting.scatter(points, labels, unmanaged_axes("an image"))
        with atomic_write(path) as temp_path:
            ax.figure.savefig(temp_path, dpi=150)
    print(f"wrote {path}")


def write_animation(frames, labels, path, **settings):
    """Draw recorded embeddings to an animation."""
    animation.save(frames, path=path, labels=labels, **settings)
    print(f"wrote {path}")
