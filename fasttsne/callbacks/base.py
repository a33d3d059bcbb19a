"""What an optimization tells its callbacks, and when: the protocol, for users to import."""

from fasttsne.optimize.callback import Callback, as_callbacks

__all__ = ["Callback", "as_callbacks"]
