"""Networks with one output per window and marker (thesis Task 1)."""
