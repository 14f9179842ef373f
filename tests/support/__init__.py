"""What tests are made with: one builder each for a log, an instance, its clients, a gateway, and the wire."""
