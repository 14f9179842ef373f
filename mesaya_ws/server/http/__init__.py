"""The HTTP side: health, metrics, and the ways in for services that do not speak Kafka."""
