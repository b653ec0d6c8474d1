"""ZeRO: the one room that knows DeepSpeed."""
