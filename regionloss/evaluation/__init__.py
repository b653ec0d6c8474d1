"""What reconstructions are worth: text that is still read, faces that are still recognised, pixels."""
