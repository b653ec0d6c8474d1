"""The hooks of this plugin and nothing else."""
