"""Tests that read the source itself: sizes, words, layers, lists that must stay total."""
