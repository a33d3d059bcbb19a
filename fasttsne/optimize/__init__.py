"""A run: its parameters, its plan, and the loop that carries it out.

- :mod:`parameters` : each parameter, its default, its limits, and what users read of it;
- :mod:`plan` : what a run will do, with every "auto" resolved to a number;
- :mod:`schedule` and :mod:`stopping` : the stages, and the rules that end them, as pure functions;
- :mod:`state` : what one call leaves for the next;
- :mod:`descent` : the loop.
"""
