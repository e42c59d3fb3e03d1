"""How good scores are: integer histograms while they stream by, and all figures from those."""
