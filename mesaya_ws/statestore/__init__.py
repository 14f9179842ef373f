"""The state directory: a state store (`core.state.interface`) on disk, whose engine is LMDB."""
