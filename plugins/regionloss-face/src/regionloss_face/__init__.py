"""face for regionloss."""
