"""Vet every order before it ships."""
