"""What the platform's records mean: envelopes, entities, and what is known of them."""
