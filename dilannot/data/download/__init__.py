"""Files from web servers: the genome, the published peak files, regions to avoid."""
