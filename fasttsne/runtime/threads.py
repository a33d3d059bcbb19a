from fasttsne.runtime.validation import available_cores, resolve_n_jobs

__all__ = ["available_cores", "resolve_n_jobs"]
