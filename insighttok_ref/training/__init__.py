"""What any trainer needs: engines, checkpoints, logs, learning rates, stops."""
