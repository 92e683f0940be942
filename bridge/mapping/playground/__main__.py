"""Runs one trial, for `python -m bridge.mapping.playground`; only the bridge starts it."""

from bridge.mapping.playground.process import main

if __name__ == "__main__":
    main()
