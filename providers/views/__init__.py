"""The pages of providers and hosts."""
