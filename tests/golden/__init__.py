"""The golden maps: what runs, on which data, and where the bits are stored."""
