"""The extensions gesso ships with: each folder is one plugin, reached by an entry point like anybody's."""
