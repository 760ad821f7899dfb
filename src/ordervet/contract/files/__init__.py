"""Files in and out: one reader for files of any kind and size, one account of their rows, one writer."""
