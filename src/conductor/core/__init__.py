"""The domain's words and rules. Nothing here does I/O."""
