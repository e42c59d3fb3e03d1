"""dilannot annotates genomes: DNA in, regulatory tracks out."""

__version__ = "0.1.0"
