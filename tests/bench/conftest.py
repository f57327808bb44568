"""conftest.py — where the bench's tests find what it is made of."""
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / part) for part in ("bench", "e2e", "differential")]
