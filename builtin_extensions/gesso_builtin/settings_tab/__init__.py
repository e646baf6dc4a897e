"""The tab with every setting."""
