"""Auth0: tenant logs over the Management API."""
