"""Real Fourier transforms of a padded grid."""
