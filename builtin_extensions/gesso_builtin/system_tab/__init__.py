"""The tab that tells how the machine and the program are doing."""
