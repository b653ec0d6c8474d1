"""Pure functions of a shard, and what runs them over many: processes of a machine, Ray, an array of Slurm jobs."""
