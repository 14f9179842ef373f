"""Who may do what on which channel: channels, tokens and rights."""
