"""What several files of tests share: short fits, data, processes, and programs that they run."""
