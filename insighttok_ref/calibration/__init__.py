"""How strongly region terms pull beside the other losses, and the weights that follow."""
