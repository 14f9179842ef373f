"""From records to messages on channels: routing, fan-out, snapshots, history, checkpoints."""
