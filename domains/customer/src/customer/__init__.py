"""The customer domain."""
