"""One verb, one function. CLI, REST and web are three spellings of it."""
