"""Vaults of several people: who is a member, and how members find them."""
