"""Matrix products that do not depend on the number of threads."""
