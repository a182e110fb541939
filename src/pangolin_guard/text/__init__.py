"""Text before any model: one canonical form with a way back, and where windows fall.

Pure functions and arithmetic; this room knows nothing of models, files or thresholds.
"""
