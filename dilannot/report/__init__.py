"""Reports for people: one self-contained page, or the same facts as plain text."""
