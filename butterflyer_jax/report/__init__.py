"""HTML reports and drawings; drawing libraries are imported on first use."""
