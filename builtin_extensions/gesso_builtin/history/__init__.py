"""The tab with every picture that was made."""
