"""The analytics: artifacts in ClickHouse, embedded or a server, and the search over them."""
