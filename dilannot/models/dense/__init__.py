"""Networks with one output per nucleotide and marker (thesis Task 2)."""
