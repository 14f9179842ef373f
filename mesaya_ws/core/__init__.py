"""The rules of the gateway: no I/O, no Trio, no clock; whatever is needed of the world comes in as an argument."""
