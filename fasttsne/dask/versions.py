"""Whether workers have what the client has: other versions would give other bits."""

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from distributed import Client

from fasttsne import _kernels
from fasttsne._version import __version__


def own_versions() -> dict[str, str]:
    """Versions of this process, on which bits may depend."""
    return {
        "fasttsne": __version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "kernels": _kernels.simd,
    }


def check_workers(client: Client, workers: Sequence[str]) -> None:
    """Raise RuntimeError where workers lack fasttsne, or have other versions than the client."""

    # Sent as it is, not by the name of this module, which a worker may not have.
    def versions() -> Any:
        try:
            from fasttsne.dask.versions import own_versions
        except ImportError as error:
            return f"{type(error).__name__}: {error}"
        return own_versions()

    expected = own_versions()
    found = client.run(versions, workers=list(workers), on_error="return")
    for address, there in sorted(found.items()):
        if isinstance(there, OSError):
            continue  # it has left since
        if not isinstance(there, dict):
            raise RuntimeError(
                f"worker {address} cannot import fasttsne.dask ({there}): install there what the "
                f"client has, fasttsne[dask]=={expected['fasttsne']}"
            )
        different = [name for name in expected if there.get(name) != expected[name]]
        if different:
            shown = "; ".join(
                f"{name} is {there.get(name)} there and {expected[name]} here" for name in different
            )
            raise RuntimeError(
                f"worker {address} has other versions than the client, and would compute other "
                f"bits: {shown}"
            )
