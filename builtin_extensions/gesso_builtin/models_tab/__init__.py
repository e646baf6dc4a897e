"""The tab with every model."""
