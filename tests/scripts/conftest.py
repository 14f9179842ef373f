"""The scripts' own packages are found as they find one another: beside the script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
