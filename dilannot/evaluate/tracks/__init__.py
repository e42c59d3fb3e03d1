"""bigWig tracks against peaks: which belongs to which, where they are judged, and their scores counted by runs."""
