"""The structure of the package: imports go down, "auto" is resolved in few places."""

import ast
from pathlib import Path

import fasttsne

ROOT = Path(fasttsne.__file__).parent
# From the top down: a module imports from its own layer and from those below.
LAYERS = (
    ("__init__", "__main__", "cli"),
    ("sklearn", "scanpy", "reports"),
    ("dask",),
    ("aligned",),
    ("tsne",),
    ("fit",),
    ("embedding",),
    ("callbacks", "functions", "schedule", "density", "memory"),
    ("io", "files", "plotting", "animation"),
    ("optimize",),
    ("objective", "metrics"),
    ("affinity",),
    ("initialization", "nearest_neighbors", "repulsion"),
    ("linalg", "drawing", "anchors"),
    ("runtime", "datasets"),
    ("utils", "_version", "io.atomic", "compat"),
    ("_kernels",),
)
# Where an import waits until it is needed, for a fast start of the package.
LATE_IMPORTS = {
    ("embedding.full", "plotting"),
    ("callbacks.progress", "plotting"),
    ("callbacks.progress", "drawing.scatter"),
    ("plotting", "drawing.scatter"),
    ("cli.files", "drawing.scatter"),
    ("__init__", "__init__"),
    # Dask is not imported before it is used; workers may not have this package at all.
    ("scanpy", "dask.estimator"),
    ("dask.cluster", "dask.cluster"),
    ("scanpy", "reports"),
}


def modules():
    """Path and syntax tree of each module, by its name below fasttsne."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path, ast.parse(path.read_text())
    return found


MODULES = modules()


def imports(tree):
    """(module, whether inside a function) for each import of our own."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] == "fasttsne":
                yield resolved(name), id(node) in inside


def resolved(name):
    """The module that a dotted name is of."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts) or "__init__"


def layer(module):
    names = {module, module.split(".")[0]} - ({"io"} if module == "io.atomic" else set())
    return next(i for i, layer in enumerate(LAYERS) if names & set(layer))


def test_imports_go_down():
    for name, (_, tree) in MODULES.items():
        check_imports(name, tree)


def check_imports(name, tree):
    for target, is_late in imports(tree):
        if target == "__init__":
            assert name in ("cli", "__init__"), f"{name} imports the package"
        else:
            assert layer(target) >= layer(name), f"{name} imports {target}"
        if is_late:
            assert (name, target) in LATE_IMPORTS, f"{name} imports {target} in a function"
        if target == "compat":
            assert name == "__init__"


def test_there_are_no_circles():
    graph = {
        name: {target for target, _ in imports(tree) if target not in ("__init__", name)}
        for name, (_, tree) in MODULES.items()
    }
    while graph:
        leaves = [name for name, targets in graph.items() if not targets & graph.keys()]
        assert leaves, f"a circle among {sorted(graph)}"
        for name in leaves:
            del graph[name]


def test_auto_is_compared_in_few_files():
    """Where "auto" becomes a number: a run's plan, the choice of a search, what is free."""
    found = {
        name
        for name, (_, tree) in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(
            isinstance(constant, ast.Constant) and constant.value == "auto"
            for constant in ast.walk(node)
        )
    }
    assert found <= {"optimize.plan", "nearest_neighbors.select", "runtime.memory"}


def test_classes_of_the_cluster_derive_from_roles():
    """And not from local classes of the fit: they hold what they need, or are made of it."""
    own, bases = set(), set()
    for name, (_, tree) in MODULES.items():
        if name.startswith("dask."):
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    own.add(node.name)
                    bases.update(ast.unparse(base) for base in node.bases)
    roles = {"Affinities", "Blocks[Value]", "CellStore[RemoteRows]", "Estimator", "RowSource"}
    assert bases - own - roles <= {"NamedTuple", "Protocol", "RuntimeError"}
