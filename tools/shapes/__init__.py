"""Trains *Shapes*, the small text-to-image model that ships with gesso."""
