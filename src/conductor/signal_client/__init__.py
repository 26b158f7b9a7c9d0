"""The Signal Client: one poller for each enabled integration, and the supervisor that keeps them."""
