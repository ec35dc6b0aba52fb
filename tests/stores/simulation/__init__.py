"""More than a year of a portal's life with outages, and a checker that works out by itself who had to be told of what."""
