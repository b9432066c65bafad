"""The Sonic diffusion engine: official checkpoint files, offline and live. Needs the extra `sonic`."""
