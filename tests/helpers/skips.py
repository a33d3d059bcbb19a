"""Why a test may be skipped where every extra is installed: EXTRAS=all bash ci/test.sh.

There a test that is skipped for another reason has failed.
"""

import os

# A part of what pytest gives as the reason, and why that is no fault.
NAMED = {
    "needs MNIST": "the data is not part of the repository: FASTTSNE_DATA names its folder",
    "set FASTTSNE_DATA to": "the same",
    "it was written with": "only the version of scikit-learn or faiss that wrote a pickle reads it",
    "could not import 'pyDRMetrics": "another implementation of rank curves, which is no extra",
    "SCIPY_ARRAY_API is not set": "the estimator takes NumPy arrays, not others",
    "needs openssl": "systems without it cannot make the certificates of the test",
    "may write to": "the user is root, as in containers, for whom no file is protected",
    "no disk can be mounted": "the system does not let this user mount disks",
    "no control group can be made": "the same of groups whose memory is limited",
    "there is one level": "the processor has no AVX2",
    "as Linux": "limits and counts are those of Linux",
    "such as /proc of Linux": "other systems have no such folder",
    "no processor affinity": "the system has none",
    "POSIX": "Windows has no such signals, modes and devices",
    "there is no fork": "Windows",
    "cannot be sent SIGINT": "Windows",
    "need rights there": "links on Windows",
    "files in use cannot": "Windows",
    "ci/ is not installed": "the tests run without the checkout",
    "needs the folder docs": "the tests run without the checkout",
    "needs the checkout": "the tests run without it",
}
# Extras that ci/test.sh could not install, as when a registry is down, which it says; their names
# are parts of the reasons.
NOT_INSTALLED = os.environ.get("FASTTSNE_NOT_INSTALLED", "").split()


def is_expected(reason: str) -> bool:
    """Whether a test may be skipped for this reason."""
    if os.environ.get("FASTTSNE_ALL_EXTRAS") != "1":
        return True
    return any(part in reason for part in (*NAMED, *NOT_INSTALLED))
