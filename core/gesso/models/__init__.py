"""Model files: headers, detection, loading, residency."""
