"""What clients bring in, as folds of single partitions: chat, table holds, presence, acknowledged news."""
