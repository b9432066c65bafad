"""The pictures that show what the embedded engine does: `python -m benchmarks.pictures`.

Made from the packaged avatars and the embedded voice alone, so that they can be made again.
"""
