"""Published arrays as datasets: DeepSEA's .mat files and the thesis's .npz archives."""
