"""A small platform that plays itself: records as the platform's backend writes them, without I/O or a clock."""
