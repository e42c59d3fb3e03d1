"""FASTA and peaks become a dataset; a dataset becomes batches."""
