"""What clients bring in, each a projection of one partition: chat, table holds, presence, acknowledged news."""
