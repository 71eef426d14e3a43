"""Other systems, a folder a partner: an interface and its adapters."""
