"""Who may see what: channels and rights."""
