"""Tests; a package, so that their own building blocks can be imported by name."""
