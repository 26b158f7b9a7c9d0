"""An Auth0 tenant to develop, test and demonstrate against. See docs/reference/simulator.md."""
