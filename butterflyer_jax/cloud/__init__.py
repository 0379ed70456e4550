"""Training jobs on other machines: Vertex AI, Kubernetes, Slurm."""
