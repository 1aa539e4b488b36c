"""The contestants that run in this project's own environment, each as a process of its own."""
