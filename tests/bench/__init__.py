"""Tests of the benchmarks: what they add up is what was measured."""
