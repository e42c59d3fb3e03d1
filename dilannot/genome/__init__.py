"""Positions, sequence codes and tiles: numpy only, no files."""
