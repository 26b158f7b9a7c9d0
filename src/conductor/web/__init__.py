"""Pages and REST: every route authorizes, parses, calls one operation and answers."""
