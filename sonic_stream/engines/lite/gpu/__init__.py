"""The renderer for a GPU: pictures of many streams in few kernels, by torch."""
