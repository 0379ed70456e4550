"""Jobs on machines that are not this one: Vertex AI, Kubernetes, Slurm."""
