"""The same search over PostgreSQL with pgvector."""
