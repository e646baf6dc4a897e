"""The tab that shows every plugin and whose errors there were."""
