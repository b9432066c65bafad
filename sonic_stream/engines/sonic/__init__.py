"""The Sonic diffusion engine: official checkpoint files, offline and live. Extra: `sonic`."""
