"""The pictures of convergence.py: curves of the KL divergence, and maps side by side."""

CLASSICAL = "250+"  # how the rows of its runs begin
PEERS = ("openTSNE", "sklearn", "fitsne")


def draw(results, path):
    """KL divergence against gradients and against seconds, a row for each data set."""
    plt = pyplot()
    figure, axes = plt.subplots(
        len(results), 2, figsize=(9, 2.7 * len(results)), squeeze=False, layout="constrained"
    )
    for row, (task, figures, found) in zip(axes, results, strict=True):
        lowest = min(course[1].min() for course in found.values())
        for ax, axis in zip(row, (0, 1), strict=True):
            for name, course in found.items():
                scale = seconds_each(name, figures) if axis else 1
                ax.plot(course[0] * scale, course[1], label=name, lw=1.3)
            for title, values in figures.items():
                if title.split()[0] in PEERS:
                    ax.plot(values[axis], values[2], ".", label=title)
            ax.set(xscale="log", ylim=(0.97 * lowest, 1.6 * lowest))
            ax.grid(alpha=0.3, which="both")
        row[0].set(xlim=(100, None), ylabel="KL divergence")
        row[0].set_title(f"{task.name}, perplexity {task.perplexity:g}", fontsize=9)
    axes[-1, 0].set_xlabel("gradients")
    axes[-1, 1].set_xlabel("seconds of the descent (of other programs: of the fit)")
    axes[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=60)


def seconds_each(name, figures):
    """Seconds of a gradient in the longest run of a method: callbacks, of the curves, cost time."""
    title = max(figures, key=lambda t: t.startswith(CLASSICAL) and figures[t][0])
    iterations, seconds, *_ = figures[title if name == "classical" else name]
    return seconds / iterations


def draw_maps(results, path):
    """The maps of all methods, a row for each data set."""
    plt = pyplot()
    columns = max(len(maps) for _, _, maps in results)
    figure, axes = plt.subplots(
        len(results),
        columns,
        figsize=(3 * columns, 3.2 * len(results)),
        squeeze=False,
        layout="constrained",
    )
    for row, (task, figures, maps) in zip(axes, results, strict=True):
        for ax, (title, y) in zip(row, maps.items(), strict=False):
            ax.scatter(*y.T, c=task.label, s=min(8, 3000 / len(y)), cmap="Spectral", linewidths=0)
            ax.set_title(f"{task.name}, {title}: {figures[title][2]:.3f}", fontsize=8)
        for ax in row:
            ax.set_aspect("equal")
            ax.axis("off")
    figure.savefig(path, dpi=55)


def pyplot():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
