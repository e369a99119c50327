"""Heads in a photo: the network that finds them, the crops that they are segmented in, and how crops are joined."""
