"""What several test folders share. Real things only: nothing here stands in for our own code."""
