"""What is known of one parameter: its default, its limits, and the text that users read."""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeVar

from fasttsne.optimize.schedule import Stage
from fasttsne.runtime.validation import check_number


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function.

    Attributes
    ----------
    name, default : as in the signature.
    text : what it means, in reStructuredText.
    limits : keyword arguments of ``check_number``; None where it is no number.
    words : texts that are accepted in place of a number.
    optional : whether None is accepted.
    stages : whether a tuple of stages is accepted.
    """

    name: str
    default: object
    text: str
    limits: Mapping[str, Any] | None = field(default=None, hash=False)
    words: tuple[str, ...] = ()
    optional: bool = False
    stages: bool = False

    @property
    def help(self) -> str:
        """The text without markup."""
        plain = self.text.replace("`", "")
        for role in (":class:", ":func:", ":meth:", ":mod:"):
            plain = plain.replace(role, "")
        return f"{plain} (default: {self.default})"

    def check(self, value: object) -> None:
        """Raise TypeError or ValueError, with name and value, for a number out of its limits."""
        if self.limits is None or (value is None and self.optional):
            return
        if self.stages and isinstance(value, tuple) and all(isinstance(s, Stage) for s in value):
            for stage in value:
                _check_stage(stage)
            return
        if self.words and not isinstance(value, Real):
            if isinstance(value, str) and value in self.words:
                return
            kind = "an integer" if self.limits.get("integer") else "a number"
            stages = ["a tuple of stages"] if self.stages else []
            accepted = " or ".join([kind, *map(repr, self.words), *stages])
            error = ValueError if isinstance(value, str) else TypeError
            raise error(f"{self.name} must be {accepted}; got {value!r}")
        check_number(value, self.name, **self.limits)


def _check_stage(stage: Stage) -> None:
    """Raise TypeError or ValueError for a number of a stage that is out of its limits."""
    check_number(stage.n_iter, f"n_iter of the stage {stage.name!r}", low=0, integer=True)
    for name in ("exaggeration", "learning_rate"):
        value = getattr(stage, name)
        check_number(value, f"{name} of the stage {stage.name!r}", above=0, finite=True)
    check_number(stage.momentum, f"momentum of the stage {stage.name!r}", low=0, high=1)


Thing = TypeVar("Thing")


def documented(**tables: Iterable[Parameter]) -> Callable[[Thing], Thing]:
    """A decorator that puts descriptions of parameters into a docstring.

    Each line ``{name}`` is replaced by the entries of the table of that name.
    """

    def decorate(thing: Thing) -> Thing:
        if thing.__doc__ is None:  # python -OO
            return thing
        lines = []
        for line in thing.__doc__.splitlines():
            name = line.strip().strip("{}")
            if line.strip() == f"{{{name}}}" and name in tables:
                indent = line[: len(line) - len(line.lstrip())]
                lines += [_entry(parameter, indent) for parameter in tables[name]]
            else:
                lines.append(line)
        thing.__doc__ = "\n".join(lines)
        return thing

    return decorate


def _entry(parameter: Parameter, indent: str) -> str:
    return textwrap.fill(
        f"{parameter.name} : {parameter.text}",
        100,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
