"""The knowledge graph of a repository."""
