"""Pages: what an evaluation found, and how runs compare, as one HTML file that needs nothing else."""
