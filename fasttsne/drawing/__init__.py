"""How maps are drawn: colours, points, pages and animation files."""
