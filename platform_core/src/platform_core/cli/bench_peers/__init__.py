"""Programs of the benchmarks that run in the environments of other tools; nothing here imports them."""
