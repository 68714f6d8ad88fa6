"""Channels that text arrives on. Each yields raw bytes and how far it has read; none of them parses."""
