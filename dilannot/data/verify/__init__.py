"""A rebuilt window dataset against DeepSEA's published arrays."""
