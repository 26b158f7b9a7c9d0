"""How Conductor speaks to other people's servers: guarded, paced, bounded and with a deadline."""
