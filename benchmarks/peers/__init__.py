"""What people would use instead, written as well as a careful user would write it."""
