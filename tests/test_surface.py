"""Public names stay where they are, and take what they took.

``surface.json`` has the names of documented modules with their signatures: what is in ``__all__``,
or defined there.
``pytest --update-golden tests/test_surface.py`` replaces it.
"""

import enum
import importlib
import inspect
import json
import re
from pathlib import Path

import pytest

PATH = Path(__file__).parent / "surface.json"
PAGES = Path(__file__).parents[1] / "docs" / "api"
DOCUMENTED = (
    "fasttsne", "fasttsne.affinity", "fasttsne.aligned", "fasttsne.anchors", "fasttsne.animation",
    "fasttsne.callbacks",
    "fasttsne.dask", "fasttsne.datasets", "fasttsne.density", "fasttsne.files",
    "fasttsne.functions",
    "fasttsne.initialization", "fasttsne.metrics", "fasttsne.nearest_neighbors",
    "fasttsne.objective", "fasttsne.optimize.plan", "fasttsne.optimize.schedule",
    "fasttsne.optimize.stopping", "fasttsne.plotting", "fasttsne.reports", "fasttsne.scanpy",
    "fasttsne.schedule", "fasttsne.sklearn", "fasttsne.tsne", "fasttsne.utils",
)  # fmt: skip
# Modules that need an optional package to be imported.
NEEDS = {"fasttsne.sklearn": "sklearn", "fasttsne.dask": "distributed"}


def module(name):
    """A module; skips where the package that it needs is not installed."""
    need = next((NEEDS[each] for each in NEEDS if f"{name}.".startswith(f"{each}.")), None)
    if need is not None:
        pytest.importorskip(need)
    return importlib.import_module(name)


def kind(value) -> str:
    """What a name stands for."""
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "class"
    return "function" if callable(value) else "constant"


def public_names(namespace) -> list[str]:
    """``__all__``, or the names without underscore of what is fasttsne's own."""
    if hasattr(namespace, "__all__"):
        return sorted(namespace.__all__)
    return sorted(
        name
        for name, value in vars(namespace).items()
        if not name.startswith("_") and _is_own(value)
    )


def _is_own(value):
    if kind(value) == "constant":
        return type(value).__module__ not in ("typing", "__future__")
    return kind(value) != "module" and _is_ours(getattr(value, "__module__", None))


def _is_ours(name):
    return str(name).partition(".")[0] == "fasttsne"


def parameters(function) -> list[str] | None:
    """Each parameter as it is written; "*" stands before those that are given by name.

    None where it is not known, or Python's own: its enumerations differ between versions.
    """
    if isinstance(function, type) and issubclass(function, enum.Enum):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    found = []
    for parameter in signature.parameters.values():
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        text = prefix.get(parameter.kind, "") + parameter.name
        if parameter.kind == parameter.KEYWORD_ONLY and not any(t[0] == "*" for t in found):
            found.append("*")
        if parameter.default is not parameter.empty:
            text += f"={_shown(parameter.default)}"
        found.append(text)
    return found


def _shown(default):
    text = repr(default)
    return type(default).__name__ if " at 0x" in text else text


def origin(value, name) -> str:
    """The module that a class or function of module ``name`` comes from."""
    return str(getattr(value, "__module__", name)) if kind(value) != "constant" else name


def described(value, name="") -> dict:
    """Kind, origin where it is not module ``name``, signature, and a class's public members."""
    about = {"kind": kind(value)}
    if name and origin(value, name) != name:
        about["from"] = origin(value, name)
    if about["kind"] in ("class", "function"):
        about["parameters"] = parameters(value)
    if about["kind"] == "class":
        about["members"] = members(value)
    return about


def is_defined_in(name, value) -> bool:
    """Whether a class or function is module ``name``'s own; constants are nobody's."""
    return kind(value) in ("class", "function") and origin(value, name) == name


def members(cls) -> dict:
    """Methods, with their parameters, and attributes, None, that fasttsne defines."""
    names = {
        name
        for base in cls.__mro__
        if _is_ours(base.__module__)
        for name in vars(base)
        if not name.startswith("_") or name == "__call__"
    }
    found = {}
    for name in sorted(names):
        value = getattr(cls, name)
        found[name] = parameters(value) if callable(value) else None
    return found


def snapshot() -> dict:
    """All of it, as ``surface.json`` keeps it."""
    found = {}
    for name in sorted(DOCUMENTED):
        namespace = module(name)
        names = public_names(namespace)
        if not hasattr(namespace, "__all__"):
            names = [n for n in names if is_defined_in(name, getattr(namespace, n))]
        found[name] = {n: described(getattr(namespace, n), name) for n in names}
    return found


def incompatible(old: list[str] | None, new: list[str] | None) -> list[str]:
    """Why calls that were right may not be so any more."""
    if old is None or new is None:
        return [] if old is None else ["its parameters are not known any more"]
    (places, by_name), (new_places, new_by_name) = _parted(old), _parted(new)
    faults = [
        f"parameter {was} is now {now or 'gone'}"
        for was, now in zip(places, new_places + [None] * len(places), strict=False)
        if was != now
    ]
    faults += [
        f"parameter {was} is not there" for was in by_name if was not in new_by_name + new_places
    ]
    added = new_places[len(places) :] + [p for p in new_by_name if p not in by_name]
    faults += [
        f"the new parameter {p} has no default" for p in added if "=" not in p and p[0] != "*"
    ]
    return faults


def _parted(texts):
    """Those that have a place, and those that are given by name, * and ** among them."""
    first = next((i for i, text in enumerate(texts) if text[0] == "*"), len(texts))
    return texts[:first], [text for text in texts[first:] if text != "*"]


def faults_of(was: dict, value) -> list[str]:
    """What a name's value has against its description in the snapshot."""
    now = described(value)
    is_still = now["kind"] == was["kind"] or (was["kind"] == "function" and callable(value))
    if not is_still:
        return [f"is a {now['kind']}, was a {was['kind']}"]
    faults = incompatible(was.get("parameters"), now.get("parameters"))
    for name, params in was.get("members", {}).items():
        # What was an attribute may be a property now, and is None for both.
        if not hasattr(value, name):
            faults.append(f"{name} is gone")
        elif params is not None:
            found = parameters(getattr(value, name))
            faults += [f"{name}: {fault}" for fault in incompatible(params, found)]
    return faults


SNAPSHOT = json.loads(PATH.read_text()) if PATH.exists() else {}


@pytest.mark.parametrize("name", SNAPSHOT)
def test_documented(name):
    namespace = module(name)
    for member, was in SNAPSHOT[name].items():
        assert hasattr(namespace, member), (
            f"{name}.{member} is gone; it was of {was.get('from', name)}"
        )
        faults = faults_of(was, getattr(namespace, member))
        assert not faults, f"{name}.{member}: " + "; ".join(faults)


def test_all_cores_are_the_default_everywhere():
    text = PATH.read_text()
    assert '"n_jobs=-1"' in text
    assert set(re.findall(r'"n_jobs=(.*)"', text)) == {"-1"}


def test_snapshot_is_of_all_documented_modules():
    assert set(SNAPSHOT) == set(DOCUMENTED)
    if PAGES.exists():
        assert {page.stem for page in PAGES.glob("fasttsne*.rst")} <= set(DOCUMENTED)


@pytest.mark.parametrize(
    ("new", "is_right"),
    [
        (["a", "b=1", "*", "c=2", "**rest"], True),
        (["a", "b=1", "d=3", "*", "c=2", "e=None", "**rest"], True),
        (["a", "b=1", "c=2", "**rest"], True),
        (["a", "b=2", "*", "c=2", "**rest"], False),
        (["b=1", "a=1", "*", "c=2", "**rest"], False),
        (["a", "d", "b=1", "*", "c=2", "**rest"], False),
        (["a", "*", "b=1", "c=2", "**rest"], False),
        (["a", "b=1", "*", "c=2", "e", "**rest"], False),
        (["a", "b=1", "*", "c=2"], False),
        (["a", "b=1", "*", "**rest"], False),
        (None, False),
    ],
)
def test_what_is_compatible(new, is_right):
    assert (incompatible(["a", "b=1", "*", "c=2", "**rest"], new) == []) is is_right


def test_update_golden():
    """Replace the snapshot; it takes all optional packages."""
    PATH.write_text(json.dumps(snapshot(), indent=1) + "\n", newline="\n")
