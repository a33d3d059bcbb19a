"""What the package finds on this machine: checks of input, threads, the build."""
