"""`python -m qwen3_tts_live`: the command line."""

import sys

from qwen3_tts_live.cli import main

if __name__ == "__main__":
    sys.exit(main())
