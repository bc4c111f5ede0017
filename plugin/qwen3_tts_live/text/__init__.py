"""From what is written to what is said: pure functions and small incremental classes."""
