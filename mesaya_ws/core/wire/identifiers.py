"""What an id may be: in channels, in records and in messages."""

import re

LONGEST_IDENTIFIER = 128

IDENTIFIER = re.compile(rf"[A-Za-z0-9._~-]{{1,{LONGEST_IDENTIFIER}}}")
"""What an id may be, in channels and in records (RFC 3986, 2.3: the unreserved characters)."""

IDENTIFIER_FORM = f"1 to {LONGEST_IDENTIFIER} of A-Z a-z 0-9 . _ ~ -"
"""The same for people, as sentences about a wrong id say it."""
