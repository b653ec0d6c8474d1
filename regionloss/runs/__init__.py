"""The processes of one run: how a launcher says which they are, how they meet, what they exchange."""
