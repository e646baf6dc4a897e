"""What becomes of finished pictures: their format, their name, the file for people. Torch-free."""
