"""The catalogue of good and bad inputs."""
