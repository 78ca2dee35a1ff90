"""Language models: shapes, bytes and matrices."""
