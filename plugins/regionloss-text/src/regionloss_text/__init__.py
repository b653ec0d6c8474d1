"""text for regionloss."""
