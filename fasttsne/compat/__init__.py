"""What exists only because code written for openTSNE or older versions calls it."""
