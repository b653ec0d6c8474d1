"""What other libraries keep to themselves and we cannot do without: one module a library, each with its reason."""
