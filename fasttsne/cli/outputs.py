"""What the commands draw, and the checks before a fit that it can be written."""

import contextlib
import functools
import os
import tempfile

import numpy as np

from fasttsne import animation, files, plotting
from fasttsne.cli.inputs import NO_LABELS
from fasttsne.cli.options import WITH_FILES
from fasttsne.cli.streams import print_error
from fasttsne.drawing.frames import WRITERS, find_writer
from fasttsne.drawing.style import HTML_EXTENSIONS, IMAGE_EXTENSIONS
from fasttsne.io import codec
from fasttsne.io.atomic import atomic_write
from fasttsne.utils import require

# What options name files, of all commands: those that are written, and those that are read, of
# which some may also be other values, such as the name of a column.
OUTPUTS = {
    "output": "-o",
    "save": "--save",
    "checkpoint": "--checkpoint",
    "plot": "--plot",
    "html": "--html",
    "animate": "--animate",
}
INPUTS = ("data", "new", "map", "frames", "labels", "id", *WITH_FILES)


def check_files_differ(options):
    """Check that a command replaces neither what it reads nor what it writes.

    Only the file of ``--save`` may be the map that ``update`` reads: it is the next one.

    Raises
    ------
    ValueError
        Where two options name one file, by whatever paths or links; the message names it.
    """
    given = {
        name: value
        for name, value in vars(options).items()
        if isinstance(value, (str, os.PathLike))
    }
    written = [name for name in OUTPUTS if name in given]
    for i, name in enumerate(written):
        option, path = OUTPUTS[name], given[name]
        for other in INPUTS:
            is_next = (name, other) == ("save", "map")
            if other in given and not is_next and _are_same(path, given[other]):
                raise ValueError(
                    f"{option} would replace {path}, which is read: give another file to {option}"
                )
        for other in written[:i]:
            if _are_same(path, given[other]):
                raise ValueError(
                    f"{OUTPUTS[other]} and {option} are one file, {path}: give different ones"
                )


def _are_same(path, other):
    """Whether two paths are of one file, which need not exist."""
    with contextlib.suppress(OSError):  # also where one letter is as good as its capital
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


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


def write_each(writers):
    """Call functions that write a file each; where one fails, the others are called all the same.

    Raises
    ------
    Exception
        The first error, after all of them; later ones are printed.
    """
    errors = []
    for write in writers:
        try:
            write()
        except Exception as error:  # also one that nobody has foreseen: a map may have taken hours
            errors.append(error)
    for later in errors[1:]:
        print_error(str(later))
    if errors:
        raise errors[0]


def write_map(
    path, embedding, labels=NO_LABELS, kl_divergence=None, ids=NO_LABELS, parameters=None
):
    """Write the file of ``-o``, as :func:`fasttsne.files.write_map`; columns keep their names.

    If that fails, the points alone go to a temporary file, whose name is printed.
    """
    names = {"labels_name": labels.name, "ids_name": ids.name}
    names = {parameter: name for parameter, name in names.items() if name is not None}
    try:
        files.write_map(
            path, embedding, labels.values, kl_divergence, ids.values, parameters, **names
        )
    except Exception:
        with contextlib.suppress(OSError):
            print(f"wrote {_keep_points(embedding)}: the points alone, in place of {path}")
        raise


def _keep_points(embedding):
    """Write the points to a new file among the temporary ones; return its name."""
    handle, name = tempfile.mkstemp(".npy", "fasttsne_")
    os.close(handle)
    try:
        files.write_map(name, embedding)
    except OSError:
        os.unlink(name)
        raise
    return name


def write_pictures(options, embedding, labels, frames):
    """Draw what was requested of a fit in addition to the embedding."""
    points = np.asarray(embedding)
    writers = [
        functools.partial(write_drawing, points, labels, path)
        for path in (options.plot, options.html)
        if path
    ]
    if options.animate:
        writers.append(
            functools.partial(
                write_animation, frames, labels.values, options.animate, progress=not options.quiet
            )
        )
    write_each(writers)


def save_embedding(options, embedding, columns):
    """Write the file of ``--save``, if it is requested; the names of columns are kept."""
    if options.save:
        codec.save_embedding(embedding, options.save, keep=options.keep, columns=columns)
        print(f"wrote {options.save}")


def write_drawing(points, labels, path):
    """Draw an embedding to an image or an HTML file."""
    if path.suffix.lower() in HTML_EXTENSIONS:
        plotting.html(points, labels=labels.values, path=path, labels_name=labels.name)
    else:
        require("matplotlib.figure", "an image", "plot")
        from fasttsne.drawing.scatter import save_figure, unmanaged_axes

        ax = unmanaged_axes()
        plotting.scatter(points, labels.values, ax, labels_name=labels.name)
        with atomic_write(path) as temp_path:
            save_figure(ax.figure, temp_path)
    print(f"wrote {path}")


def write_animation(frames, labels, path, **settings):
    """Draw recorded embeddings to an animation."""
    animation.save(frames, path=path, labels=labels, **settings)
    print(f"wrote {path}")
