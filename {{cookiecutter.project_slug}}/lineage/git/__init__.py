"""What Git says: of this checkout, and of everything that was ever committed."""
