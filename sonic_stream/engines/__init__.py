"""Engines: one package or module each, named by import string `module:Class`."""
