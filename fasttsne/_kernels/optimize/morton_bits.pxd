"""How fine the codes of the space-filling curve are."""


cdef inline int bits_for(int d) noexcept nogil:
    """Bits for each of d coordinates: as fine as 64 bits, and int32 cells, allow.

    That is what keeps a tree useful when one point lies a million times farther
    out than the rest.
    """
    return 20 if d == 3 else 31
