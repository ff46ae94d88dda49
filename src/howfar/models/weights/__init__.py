"""Formats of published weights, read without their authors' code."""
