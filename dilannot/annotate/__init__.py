"""Stream a genome through a trained run and write its tracks."""
