"""How good a run is, or a folder of tracks: figures, their intervals, and differences to others."""
