"""Orders where they lie: in a shop's database, and decisions back into one."""
