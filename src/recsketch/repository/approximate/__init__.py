"""Approximate search by an index of faiss, which is a cache beside a repository's files."""
