"""What an emulated processor is asked to do: a small fit with each method, on one thread and two.

    python ci/small_fits.py

Prints how fasttsne was built and what each fit came to; fails where threads change a bit.
"""

import numpy as np

from fasttsne import TSNE, show_config
from fasttsne.datasets import load_digits

show_config()
rows = load_digits()[0][:200]
for method in ("fft", "bh", "exact"):
    alone, together = (
        TSNE(
            n_iter=20,
            early_exaggeration_iter=20,
            negative_gradient_method=method,
            random_state=0,
            n_jobs=n_jobs,
        ).fit(rows)
        for n_jobs in (1, 2)
    )
    assert np.isfinite(alone).all()
    assert (alone == together).all()
    print(method, alone.kl_divergence)
